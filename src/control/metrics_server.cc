#include "control/metrics_server.hh"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "control/http.hh"

namespace sf::control {
namespace {

constexpr std::size_t kMaxDrained = std::size_t{1} << 20;
constexpr std::string_view kPath = "/metrics";
constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

union AnyAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_storage storage;
};

socklen_t fill(AnyAddress& address, const Endpoint& from) {
  address.storage = {};
  if (from.address.is_v4()) {
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(from.port);
    address.v4.sin_addr.s_addr = htonl(from.address.to_v4());
    return sizeof(address.v4);
  }
  address.v6.sin6_family = AF_INET6;
  address.v6.sin6_port = htons(from.port);
  std::memcpy(address.v6.sin6_addr.s6_addr, from.address.bytes().data(), Address::kSize);
  return sizeof(address.v6);
}

const char* remedy(int error) {
  switch (error) {
    case EADDRINUSE:
      return "end the program that listens there, or choose another port";
    case EADDRNOTAVAIL:
      return "give an address of this host";
    case EACCES:
      return "choose a port from 1024 on";
    default:
      return "choose another address";
  }
}

}  // namespace

struct MetricsServer::Client {
  enum class State { reading, writing, draining };

  UniqueFd fd;
  State state = State::reading;
  std::string request;
  std::string reply;
  std::size_t sent = 0;
  std::size_t drained = 0;
  unsigned age = 0;  // ticks
};

MetricsServer::MetricsServer(MetricsAddress address, Text text, Duration tick, Duration text_kept)
    : address_(std::move(address)), make_text_(std::move(text)), tick_(tick), text_kept_(text_kept) {}

MetricsServer::~MetricsServer() = default;

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(const MetricsAddress& address, Text text,
                                                           Duration tick, Duration text_kept) {
  std::unique_ptr<MetricsServer> server(new MetricsServer(address, std::move(text), tick, text_kept));
  if (auto done = server->listen(); !done) return tl::unexpected(done.error());
  return server;
}

Result<void> MetricsServer::listen() {
  const bool on_path = !address_.path.empty();
  const int family = on_path ? AF_UNIX : address_.at.address.is_v4() ? AF_INET : AF_INET6;
  text_timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!text_timer_ || !events_.open(family)) {
    return fail("cannot serve metrics at {}: {}; choose another address", address_.to_string(),
                std::strerror(errno));
  }
  if (on_path) {
    auto file = SocketFile::bind(events_.listener(), address_.path, true);
    if (!file) return fail("cannot serve metrics: {}", file.error().message);
    file_.emplace(*std::move(file));
  } else if (auto bound = bind_to_port(); !bound) {
    return bound;
  }
  if (!events_.listen(tick_)) {
    return fail("cannot serve metrics at {}: {}; {}", address_.to_string(), std::strerror(errno),
                remedy(errno));
  }
  return {};
}

Result<void> MetricsServer::bind_to_port() {
  const int on = 1;
  // A port that was served until a moment ago is free; one that is served is not.
  static_cast<void>(::setsockopt(events_.listener(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
  if (address_.at.address.is_v6()) {
    static_cast<void>(::setsockopt(events_.listener(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
  }
  AnyAddress address;
  socklen_t size = fill(address, address_.at);
  if (::bind(events_.listener(), &address.any, size) != 0 ||
      ::getsockname(events_.listener(), &address.any, &size) != 0) {
    return fail("cannot serve metrics at {}: {}; {}", address_.to_string(), std::strerror(errno),
                remedy(errno));
  }
  address_.at.port = ntohs(address_.at.address.is_v4() ? address.v4.sin_port : address.v6.sin6_port);
  return {};
}

std::optional<SocketFile::Given> MetricsServer::give_file() {
  if (!file_) return std::nullopt;
  return file_->give();
}

void MetricsServer::on_ready() {
  events_.dispatch({.accept = [this] { accept_clients(); },
                    .tick = [this] { on_tick(); },
                    .client = [this](ClientId id) { on_client(id); }});
  events_.update(true, !clients_.empty());
}

void MetricsServer::accept_clients() {
  for (unsigned accepted = 0; accepted < kAcceptsPerTurn; ++accepted) {
    auto [fd, id] = events_.accept();
    if (!fd) return;
    if (clients_.size() >= kMaxClients) make_room();
    clients_.emplace(id, std::make_unique<Client>()).first->second->fd = std::move(fd);
    on_client(id);  // most have said all by now, and would else wait behind those that come next
  }
}

// First of those that have had their reply, then of those that have asked nothing, then of all: the one that
// came first.
void MetricsServer::make_room() {
  const auto is_done = [](const auto& one) { return one.second->state == Client::State::draining; };
  const auto is_silent = [](const auto& one) {
    return one.second->state == Client::State::reading && one.second->request.empty();
  };
  auto victim = std::ranges::find_if(clients_, is_done);
  if (victim == clients_.end()) victim = std::ranges::find_if(clients_, is_silent);
  clients_.erase(victim != clients_.end() ? victim : clients_.begin());
}

void MetricsServer::on_client(ClientId id) {
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
  }
  if (!goes_on) clients_.erase(found);
}

bool MetricsServer::read(ClientId id, Client& client) {
  std::array<char, kMaxHttpRequest> piece;
  const std::size_t room = kMaxHttpRequest - client.request.size();
  const ssize_t got = ::recv(client.fd.get(), piece.data(), room, 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;  // nobody is there, or nothing more comes of what has begun
  client.request.append(piece.data(), static_cast<std::size_t>(got));
  client.reply = answer(client.request);
  if (client.reply.empty()) return true;
  client.request = {};
  client.state = Client::State::writing;
  events_.watch(EPOLL_CTL_MOD, client.fd.get(), EPOLLOUT, id);
  return write(id, client);
}

// Each time all shards stop for it: those that ask too often get what the last one got.
const std::string& MetricsServer::text() {
  std::uint64_t expirations = 0;
  const bool kept = text_ && text_kept_ > Duration::zero() &&
                    ::read(text_timer_.get(), &expirations, sizeof(expirations)) < 0;
  if (kept) return *text_;
  text_ = make_text_();
  ServerEvents::arm(text_timer_.get(), text_kept_, Duration::zero());
  return *text_;
}

// Empty: the request has not ended.
std::string MetricsServer::answer(const std::string& request) {
  const HttpRequest parsed = parse_http_request(request);
  switch (parsed.state) {
    case HttpRequest::State::incomplete:
      return {};
    case HttpRequest::State::malformed:
      return http_reply({.status = 400, .body = "400: that is no HTTP request\n"});
    case HttpRequest::State::too_large:
      return http_reply({.status = 431, .body = "431: the request is too large\n"});
    case HttpRequest::State::bad_version:
      return http_reply({.status = 505, .body = "505: HTTP/1.1 is spoken here\n"});
    case HttpRequest::State::complete:
      break;
  }
  const bool head = parsed.method == "HEAD";
  if (parsed.path != kPath) {
    return http_reply({.status = 404, .body = "404: the metrics are at /metrics\n", .head = head});
  }
  if (!head && parsed.method != "GET") {
    return http_reply({.status = 405, .body = "405: the metrics can be got, and nothing else\n"});
  }
  return http_reply({.status = 200, .type = kMetricsType, .body = text(), .head = head});
}

bool MetricsServer::write(ClientId id, Client& client) {
  const std::string_view rest = std::string_view(client.reply).substr(client.sent);
  const ssize_t put = ::send(client.fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
  if (put < 0) return errno == EAGAIN || errno == EINTR;
  client.sent += static_cast<std::size_t>(put);
  if (client.sent < client.reply.size()) return true;
  // Closing a socket with something unread in it resets the other side, which might not see the reply then.
  client.reply = {};
  client.state = Client::State::draining;
  ::shutdown(client.fd.get(), SHUT_WR);
  events_.watch(EPOLL_CTL_MOD, client.fd.get(), EPOLLIN, id);
  return drain(client);
}

// Until the other side has closed as well.
bool MetricsServer::drain(Client& client) const {
  std::array<char, kMaxHttpRequest> piece;
  const ssize_t got = ::recv(client.fd.get(), piece.data(), piece.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  client.drained += static_cast<std::size_t>(got);
  return got > 0 && client.drained < kMaxDrained;
}

void MetricsServer::on_tick() {
  for (auto next = clients_.begin(); next != clients_.end();) {
    const auto here = next++;
    Client& client = *here->second;
    ++client.age;
    const bool late = client.state == Client::State::reading && client.age >= kReadTicks;
    if (!late && client.age < kTotalTicks) continue;
    if (late && !client.request.empty()) {
      // What fits into the socket, without waiting.
      const std::string last_word =
          http_reply({.status = 408, .body = "408: the request did not come to its end in time\n"});
      static_cast<void>(::send(client.fd.get(), last_word.data(), last_word.size(), MSG_NOSIGNAL));
    }
    clients_.erase(here);
  }
}

}  // namespace sf::control
