#ifndef PEERMESH_CLIENT_SESSION_H_
#define PEERMESH_CLIENT_SESSION_H_

void Publish(absl::string_view subject);

#endif  // PEERMESH_CLIENT_SESSION_H_
