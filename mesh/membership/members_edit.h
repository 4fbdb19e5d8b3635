// How the parts of Members change a row. For its own sources only.
#ifndef PEERMESH_MESH_MEMBERSHIP_MEMBERS_EDIT_H_
#define PEERMESH_MESH_MEMBERSHIP_MEMBERS_EDIT_H_

#include "mesh/membership/members.h"

namespace peermesh::membership {

// A row that is being changed: out of the indices, and in again with what time will do to it.
class Members::Edit {
 public:
  Edit(Members& members, Row& row) : members_(members), row_(row) { members_.table_.Unindex(row); }
  ~Edit() {
    row_.deadline = members_.DeadlineOf(row_);
    members_.table_.Index(row_);
    members_.changed_.insert(row_.id);
  }
  Edit(const Edit&) = delete;
  Edit& operator=(const Edit&) = delete;

 private:
  Members& members_;
  Row& row_;
};

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_MEMBERS_EDIT_H_
