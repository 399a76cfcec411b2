#include "link/system_calls.hh"

namespace sf::link {

AllowedCalls allowed_calls() {
  AllowedCalls calls;
  allow(calls, {"read", "readv", "write", "writev", "close", "poll", "ppoll", "ppoll_time64", "accept4",
                "recvfrom", "recvmsg", "sendto", "sendmsg", "fstat", "fstat64", "lseek", "_llseek"});
  return calls;
}

}  // namespace sf::link
