#include "flowlog/system_calls.hh"

namespace sf::flowlog {

AllowedCalls allowed_calls() {
  AllowedCalls calls;
  allow(calls, {"write", "poll", "ppoll", "ppoll_time64"});
  return calls;
}

}  // namespace sf::flowlog
