#include "control/system_calls.hh"

namespace sf::control {

AllowedCalls allowed_calls(const ControlCalls& wanted) {
  AllowedCalls calls;
  // The server has an epoll instance and a timer of its own.
  allow(calls, {"epoll_wait", "epoll_pwait", "epoll_ctl", "timerfd_settime", "timerfd_settime64", "accept4",
                "recvfrom", "sendto", "shutdown", "close", "read"});
  if (wanted.removes_files) {
    allow(calls, {"newfstatat", "fstatat64", "statx"});
    calls.push_back({"unlinkat", {ArgumentIs::is(2, 0)}});
  }
  return calls;
}

}  // namespace sf::control
