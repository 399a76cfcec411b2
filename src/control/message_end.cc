#include "control/message_end.hh"

namespace sf::control {

std::size_t MessageEnd::feed(std::string_view piece) {
  std::size_t taken = 0;
  while (taken < piece.size() && !done_) done_ = ends_with(piece[taken++]);
  return taken;
}

bool MessageEnd::ends_with(char c) {
  switch (in_) {
    case In::nothing:
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') return false;
      if (c != '{' && c != '[') {
        in_ = In::line;
        return false;
      }
      in_ = In::brackets;
      depth_ = 1;
      return false;
    case In::brackets:
      if (c == '"') in_ = In::string;
      if (c == '{' || c == '[') ++depth_;
      return (c == '}' || c == ']') && --depth_ == 0;
    case In::string:
      if (c == '"') in_ = In::brackets;
      if (c == '\\') in_ = In::escape;
      return false;
    case In::escape:
      in_ = In::string;
      return false;
    case In::line:
      return c == '\n';
  }
  return false;
}

}  // namespace sf::control
