#include "control/server.hh"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "control/message_end.hh"
#include "control/requests.hh"

namespace sf::control {
namespace {

constexpr std::size_t kReadSize = 16384;
constexpr int kReadsToDrain = 4;
constexpr int kStreamWrites = 4;
constexpr std::size_t kMaxDrained = std::size_t{64} << 20;

}  // namespace

struct Server::Client {
  enum class State { reading, writing, draining, streaming };

  UniqueFd fd;
  State state = State::reading;
  std::string request;
  MessageEnd end;
  std::string reply;
  std::size_t sent = 0;  // of the reply, or of the stream's present piece
  std::unique_ptr<Stream> stream;
  std::vector<std::uint8_t> piece;
  std::uint32_t watched = 0;  // while streaming
  bool finishing = false;     // the stream is: what comes now is the rest
  std::size_t drained = 0;
  bool cut_off = false;  // the request was refused before it had ended
  unsigned idle = 0;     // ticks
  unsigned age = 0;
};

Server::Server(Instance& instance, const ServerOptions& options) : instance_(instance), options_(options) {}

Result<std::unique_ptr<Server>> Server::open(const std::string& path, Instance& instance,
                                             const ServerOptions& options) {
  std::unique_ptr<Server> server(new Server(instance, options));
  if (auto done = server->listen_at(path); !done) return tl::unexpected(done.error());
  return server;
}

Result<void> Server::listen_at(const std::string& path) {
  if (!events_.open(AF_UNIX)) {
    return fail("cannot listen at {}: {}; raise the limit of open files (ulimit -n)", path,
                std::strerror(errno));
  }
  auto file = SocketFile::bind(events_.listener(), path, options_.keep_answering);
  if (!file) return tl::unexpected(file.error());
  file_.emplace(*std::move(file));
  if (!events_.listen(options_.tick))
    return fail("cannot listen at {}: {}; choose another path", path, std::strerror(errno));
  return {};
}

Server::~Server() = default;

void Server::on_ready() {
  events_.dispatch({.accept = [this] { accept_clients(); },
                    .tick = [this] { on_tick(); },
                    .client = [this](ClientId id) { on_client(id); }});
  update();
}

void Server::accept_clients() {
  for (std::size_t tries = 0; tries < kMaxClients && clients_.size() < kMaxClients; ++tries) {
    auto [fd, id] = events_.accept();
    if (!fd) return;
    clients_.emplace(id, std::make_unique<Client>()).first->second->fd = std::move(fd);
  }
}

void Server::on_client(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Client& client = *found->second;
  bool goes_on = false;
  switch (client.state) {
    case Client::State::reading:
      goes_on = read(id, client);
      break;
    case Client::State::writing:
      goes_on = write(id, client);
      break;
    case Client::State::draining:
      goes_on = drain(client);
      break;
    case Client::State::streaming:
      goes_on = on_streaming(id, client);
      break;
  }
  if (!goes_on) clients_.erase(found);
}

bool Server::read(ClientId id, Client& client) {
  std::array<char, kReadSize> piece;
  const ssize_t got = ::recv(client.fd.get(), piece.data(), piece.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  client.idle = 0;
  const std::string_view text(piece.data(), static_cast<std::size_t>(got));
  client.request += text.substr(0, client.end.feed(text));
  if (client.request.size() > kMaxRequest) {
    client.cut_off = true;
    return reply(id, client, error_reply("too large message"));
  }
  if (got > 0 && !client.end.done()) return true;
  std::unique_ptr<Stream> stream;
  std::string said = answer(std::exchange(client.request, {}), instance_, &stream);
  if (stream) return begin_stream(id, client, std::move(stream));
  return reply(id, client, std::move(said));
}

bool Server::begin_stream(ClientId id, Client& client, std::unique_ptr<Stream> stream) {
  client.state = Client::State::streaming;
  client.stream = std::move(stream);
  client.stream->when_ready([this, id] { on_stream_ready(id); });
  return send_stream(id, client);
}

// What the client says now is nothing but that it has had enough.
bool Server::on_streaming(ClientId id, Client& client) {
  std::array<char, kReadSize> piece;
  if (!client.finishing) {
    const ssize_t got = ::recv(client.fd.get(), piece.data(), piece.size(), 0);
    if (got < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (got == 0) {
      client.finishing = true;
      client.idle = 0;
      client.stream->finish();
    }
  }
  return send_stream(id, client);
}

bool Server::send_stream(ClientId id, Client& client) {
  const std::uint32_t always = client.finishing ? 0 : std::uint32_t{EPOLLIN};
  for (int writes = 0; writes < kStreamWrites; ++writes) {
    if (client.sent == client.piece.size()) {
      client.sent = 0;
      client.stream->take(client.piece);
      if (client.piece.empty()) {
        watch_stream(id, client, always);
        return !client.finishing;
      }
    }
    const Bytes rest = drop(client.piece, client.sent);
    const ssize_t put = ::send(client.fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (put < 0) break;
    client.idle = 0;
    client.sent += static_cast<std::size_t>(put);
  }
  watch_stream(id, client, always | EPOLLOUT);
  return true;
}

void Server::on_stream_ready(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end() || (found->second->watched & EPOLLOUT) != 0) return;
  if (!send_stream(id, *found->second)) clients_.erase(found);
  update();
}

void Server::watch_stream(ClientId id, Client& client, std::uint32_t events) const {
  if (std::exchange(client.watched, events) != events)
    events_.watch(EPOLL_CTL_MOD, client.fd.get(), events, id);
}

bool Server::reply(ClientId id, Client& client, std::string text) {
  client.reply = std::move(text);
  client.request = {};
  client.state = Client::State::writing;
  events_.watch(EPOLL_CTL_MOD, client.fd.get(), EPOLLOUT, id);
  return write(id, client);
}

bool Server::write(ClientId id, Client& client) {
  const std::string_view rest = std::string_view(client.reply).substr(client.sent);
  const ssize_t put = ::send(client.fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
  if (put < 0) return errno == EAGAIN || errno == EINTR;
  client.idle = 0;
  client.sent += static_cast<std::size_t>(put);
  if (client.sent < client.reply.size()) return true;
  // Closing a socket with something unread in it resets the other side, which might not see the reply then.
  client.reply = {};
  client.state = Client::State::draining;
  ::shutdown(client.fd.get(), SHUT_WR);
  events_.watch(EPOLL_CTL_MOD, client.fd.get(), EPOLLIN, id);
  return drain(client);
}

bool Server::drain(Client& client) const {
  std::array<char, kReadSize> piece;
  for (int reads = 0; reads < kReadsToDrain; ++reads) {
    const ssize_t got = ::recv(client.fd.get(), piece.data(), piece.size(), 0);
    // Whoever was cut off may still be sending; whoever was not has said all.
    if (got < 0) return errno == EINTR || (errno == EAGAIN && client.cut_off);
    client.drained += static_cast<std::size_t>(got);
    if (got == 0 || client.drained >= kMaxDrained) return false;
  }
  return true;
}

void Server::on_tick() {
  for (auto next = clients_.begin(); next != clients_.end();) {
    const auto here = next++;
    Client& client = *here->second;
    const bool streams = client.state == Client::State::streaming;
    if (streams && !client.finishing) continue;  // it may look at nothing for as long as it likes
    const bool too_old = ++client.age >= kReadTicks && client.state != Client::State::writing && !streams;
    if (++client.idle < kIdleTicks && !too_old) continue;
    if (client.state == Client::State::reading) {
      // What fits into the socket, without waiting.
      const std::string last_word = error_reply("no complete message in time");
      static_cast<void>(::send(client.fd.get(), last_word.data(), last_word.size(), MSG_NOSIGNAL));
    }
    clients_.erase(here);
  }
}

}  // namespace sf::control
