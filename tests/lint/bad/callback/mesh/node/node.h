#ifndef PEERMESH_MESH_NODE_NODE_H_
#define PEERMESH_MESH_NODE_NODE_H_

using Observer = std::function<void()>;

#endif  // PEERMESH_MESH_NODE_NODE_H_
