#include "tcp/connection.hh"

namespace sf::tcp {

const char* to_string(State state) {
  switch (state) {
    case State::connecting:
      return "SYN-SENT (host)";
    case State::syn_received:
      return "SYN-RECEIVED";
    case State::syn_sent:
      return "SYN-SENT";
    case State::established:
      return "ESTABLISHED";
    case State::close_wait:
      return "CLOSE-WAIT";
    case State::last_ack:
      return "LAST-ACK";
    case State::closing:
      return "CLOSING";
    case State::fin_wait_1:
      return "FIN-WAIT-1";
    case State::fin_wait_2:
      return "FIN-WAIT-2";
    case State::time_wait:
      return "TIME-WAIT";
    case State::closed:
    case State::count_:
      break;
  }
  return "CLOSED";
}

}  // namespace sf::tcp
