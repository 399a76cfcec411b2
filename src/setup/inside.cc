#include <poll.h>

#include "setup/reaper.hh"
#include "setup/setup.hh"

namespace sf::setup {

namespace {
constexpr int kEndMs = 5000;  // for a child to end, which a stopped one does not
}

Inside::~Inside() {
  if (has_child()) static_cast<void>(collect());
  static_cast<void>(wait());
}

// The process that was forked: it ends when both channels are closed.
int Inside::wait() {
  channel_.close();
  if (keeper_) keeper_->close();
  return child_ > 0 ? wait_for(std::exchange(child_, -1)) : 1;
}

int Inside::collect() {
  if (!keeper_) return wait();
  // Its end is seen by itself, and not only through the keeper, which may have been killed.
  channel_.end_sending();
  pollfd end{channel_.fd(), POLLIN, 0};
  while (::poll(&end, 1, kEndMs) != 0 && channel_.receive()) {
  }
  channel_.close();
  while (!status_) {
    const Keeper::Told told = keeper_->listen();
    status_ = told.over ? wait() : told.child_ended;
  }
  return *status_;
}

InsideEvent Inside::on_keeper() {
  InsideEvent event;
  const Keeper::Told told = keeper_->listen_now();
  // The child's own channel tells its end in order, after all else that it has said.
  if (told.child_ended) status_ = told.child_ended;
  if (!told.over) return event;
  event.kind = InsideEvent::Kind::ended;
  event.status = has_child() ? collect() : wait();
  return event;
}

InsideEvent Inside::on_event() {
  if (!has_child()) return {};
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
        if (request->count > event.sockets.size()) {
          event.lost = request->count - static_cast<unsigned>(event.sockets.size());
        }
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
