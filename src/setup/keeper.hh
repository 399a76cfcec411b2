// The keeper: a process between the program and its child inside, which leaves nothing behind whichever of
// the three is killed. It has the user's rights, and so it sees no packets, and listens to the program only
// until the first one: what it is told is complete then, and it confines itself (a filter of its own, no
// capability that it does not need, Landlock).
//
//     program ──(fork)── keeper ──(fork or clone)── child inside ──── CMD
//        │  └── a channel ──┘                            │
//        └───────────────── another channel ─────────────┘
//
//     killed        who sees it                     and does
//     the program   keeper and child: the channels  the child ends CMD and all that it has left; the keeper
//                                                   waits for that, removes sockets' files, unmounts PATH
//     the child     the keeper: SIGCHLD             ends what has come to it (it is a subreaper), tells the
//                                                   program the exit status, removes and unmounts
//     the keeper    the program: the channel        ends, which ends the child, which removes and unmounts
//
// It also reads resolv.conf for the program, whose own root folder is empty: a byte asks, and the answer is
// the file's text where it has changed since.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/log.hh"
#include "base/result.hh"
#include "setup/channel.hh"
#include "setup/kept_file.hh"

namespace sf::setup {

struct KeeperSettings {
  // Its end is that of the program, whatever the exit status. Else an exit status of 0 is not.
  bool ends_with_child = false;
  bool kills_child = false;  // the child is the init of a PID namespace, and ends it by its own end
  std::string mount;         // a file to which the child mounts a namespace; empty: none
  std::string resolv_conf = "/etc/resolv.conf";
};

// The program's end.
class Keeper {
 public:
  static constexpr int kAnswerMs = 20;  // how long a changed resolv.conf is waited for

  explicit Keeper(Channel channel) : channel_(std::move(channel)) {}

  // Until the first packet.
  void keep(const KeptFile& file) const { file.send(channel_); }
  // Nothing more to keep. `confined`: it gives up the rights that it does not need.
  void seal(bool confined) const;

  // The text of the host's resolv.conf where it is another than that of the version `seen`, which becomes
  // this one's; 0 is none. Absent as well where there is no answer in time: the next call has it then. By any
  // thread.
  [[nodiscard]] std::optional<std::string> changed_resolv_conf(std::uint64_t& seen);

  // Readable where the keeper is gone, or has told of the child's end; also for a late answer.
  [[nodiscard]] int fd() const { return channel_.fd(); }
  // What there is to read; listen() waits for it. Another thread may have taken it as an answer.
  struct Told {
    bool over = false;  // the keeper is gone
    std::optional<int> child_ended{};
  };
  [[nodiscard]] Told listen();
  [[nodiscard]] Told listen_now();
  void close() {
    const std::scoped_lock lock(*mutex_);
    channel_.close();
  }

 private:
  [[nodiscard]] bool is_readable(int timeout_ms) const;
  [[nodiscard]] Told take();

  Channel channel_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();  // for reading, and for all below
  std::string text_;
  std::uint64_t version_ = 0;  // of the text
  bool asked_ = false;
};

// The keeper's life, in its process, from when `child` is there. Returns the exit status.
[[nodiscard]] int keep(pid_t child, const KeeperSettings& settings, const Channel& program, const Log& log);

}  // namespace sf::setup
