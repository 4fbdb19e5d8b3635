#ifndef PEERMESH_MESH_NODE_NODE_H_
#define PEERMESH_MESH_NODE_NODE_H_

double share = 0;

#endif  // PEERMESH_MESH_NODE_NODE_H_
