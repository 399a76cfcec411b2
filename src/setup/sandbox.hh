// The sandbox: a small root folder of its own, read-only, and hardly a right left.
//
// What is confined is the process that moves packets. It stays in the host's network namespace, where its
// sockets belong. It leaves everything else that it does not need:
//
//     user namespace   a new one with one id, unless this process has CAP_SYS_ADMIN already (Podman starts us
//                      as root of its own). Not the guest's: whoever is root in there could trace us, and so
//                      get out into the host's network.
//     mount namespace  a new one. Its root is a tmpfs with the folders of `SandboxSettings` bound into it.
//     descriptors      of folders lead no further than that folder: ".." from them would walk past the new
//                      root.
//     capabilities     CAP_NET_BIND_SERVICE alone, in the bounding set too; NO_NEW_PRIVS.
//
// Descriptors of files, sockets and devices go on working, and so do signals from and to the outside.
#pragma once

#include <string>
#include <vector>

#include "base/log.hh"
#include "base/result.hh"

namespace sf::setup {

struct SandboxSettings {
  // What stays visible, read-only, with what is mounted below. Absolute; what is not there is left out.
  std::vector<std::string> folders = {"/etc", "/run"};
  // A file that stays readable by this path through all of its symbolic links, where they lead out of the
  // folders as well. From there it is a single file: changed in place it is followed, replaced by another one
  // it is not.
  std::string file = "/etc/resolv.conf";
};

// For the whole process, which has to have one thread. There is no way back, and after an error no way on: a
// part may have been done. /proc has to be mounted, and is not there afterwards.
[[nodiscard]] Result<void> enter_sandbox(const SandboxSettings& settings, const Log& log);

}  // namespace sf::setup
