// The sandbox: a small root folder of its own, read-only, and hardly a right left. And what can be given up
// without one.
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
// The native commands' root is empty, and no descriptor of a folder is left: keeper.hh has them.
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

// Gives up all capabilities but `kept` (of those that it has), and sets NO_NEW_PRIVS. A bounding set that may
// not be changed stays, which means nothing with NO_NEW_PRIVS.
[[nodiscard]] Result<void> keep_capabilities(const std::vector<int>& kept);

// Nobody but the host's root may trace this process or look into its memory, and no core is dumped. To come
// after what needs /proc/self.
void become_opaque();

// No processes beside those that are there, no cores. Not RLIMIT_FSIZE: the log and --pcap may be files.
void limit_resources();

// Standard input and output lead to /dev/null, but for those of `kept`; and where standard error is a
// terminal, it can only be written to. For a process that speaks through the log alone.
void let_go_of_streams(const std::vector<int>& kept);

// Closes all descriptors but standard input, output and error, and `kept` (-1 is no descriptor).
void close_all_but(std::vector<int> kept);

}  // namespace sf::setup
