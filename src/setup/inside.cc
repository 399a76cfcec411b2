#include <sys/wait.h>

#include "setup/reaper.hh"
#include "setup/setup.hh"

namespace sf::setup {

Inside::~Inside() {
  if (child_ > 0) static_cast<void>(collect());
  if (mount_) static_cast<void>(mount_->unmount());
}

int Inside::collect() {
  channel_.close();  // where the child still lives, it sees this and ends
  const int status = wait_for(std::exchange(child_, -1));
  if (adopts_) end_descendants();  // what a killed child could not end itself
  return status;
}

InsideEvent Inside::on_event() {
  if (child_ < 0) return {};
  auto message = channel_.receive();
  InsideEvent event;
  if (!message) {
    event.kind = InsideEvent::Kind::ended;
    event.status = collect();
    return event;
  }
  switch (message->kind) {
    case MessageKind::ready:
      event.kind = InsideEvent::Kind::ready;
      break;
    case MessageKind::sockets:
      if (const auto request = SocketRequest::parse(message->text)) {
        event.kind = InsideEvent::Kind::sockets;
        event.request = *request;
        event.sockets = std::move(message->fds);
      }
      break;
    case MessageKind::listeners:
      event.kind = InsideEvent::Kind::listeners;
      event.listeners = parse_listeners(message->text);
      break;
    case MessageKind::failed:
      event.kind = InsideEvent::Kind::failed;
      event.text = std::move(message->text);
      break;
    default:
      break;
  }
  return event;
}

Result<void> Inside::receive_tap() {
  auto message = channel_.receive();
  if (message && message->kind == MessageKind::tap) {
    auto device = from_description(message->text, std::move(message->fds));
    if (!device) return tl::unexpected(device.error());
    tap_ = *std::move(device);
    return {};
  }
  if (message && message->kind == MessageKind::failed) return fail("{}", message->text);
  const int status = collect();
  return fail("the set-up process ended early, with status {}; was it killed?", status);
}

}  // namespace sf::setup
