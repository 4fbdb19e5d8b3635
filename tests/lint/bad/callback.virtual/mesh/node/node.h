#ifndef PEERMESH_MESH_NODE_NODE_H_
#define PEERMESH_MESH_NODE_NODE_H_

struct Base {
  virtual void Run();
};

#endif  // PEERMESH_MESH_NODE_NODE_H_
