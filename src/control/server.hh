// The control socket: a listener on a path, one request per connection, answered from an Instance.
//
//     accept ── reading ──(object complete, or writing shut down)── writing ── closed
//                  │                                                   ^  │
//                  └───(too large, or idle)────────── an error ────────┘  └── draining, where more was sent
//                                                                             than anybody has read
//                  └───(a request for a stream)── streaming ──(client shuts down writing)── the rest
//                                                                                              │
//                                                                                            closed
//
// Nothing here waits. All descriptors are in one epoll instance that the caller watches with its own, and
// on_ready() does a bounded amount of work: one read or write per client that is ready, of which there are
// kMaxClients at most. More of them wait in the listen backlog until one is done, or dropped for its
// idleness.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/result.hh"
#include "base/time.hh"
#include "base/unique_fd.hh"
#include "control/instance.hh"
#include "control/server_events.hh"
#include "control/socket_file.hh"

namespace sf::control {

struct ServerOptions {
  // A socket at the path on which somebody answers is an error, rather than replaced.
  bool keep_answering = false;
  // The unit of the limits below; tests make it short.
  Duration tick = 1s;
};

class Server {
 public:
  static constexpr std::size_t kMaxClients = 16;
  static constexpr unsigned kIdleTicks = 10;  // without a byte either way
  static constexpr unsigned kReadTicks = 30;  // for a whole request, however busily it trickles in

  // Listens at `path`, with mode 0600, in place of a socket that is there already. `instance` outlives the
  // Server.
  [[nodiscard]] static Result<std::unique_ptr<Server>> open(const std::string& path, Instance& instance,
                                                            const ServerOptions& options = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Removes the socket file, if it is still this one.
  ~Server();

  // Readable whenever on_ready() has something to do (level-triggered).
  [[nodiscard]] int fd() const { return events_.fd(); }
  void on_ready();

  // The file, where its folder is and which one it is, for somebody else to remove: the destructor no longer
  // does.
  using File = SocketFile::Given;
  [[nodiscard]] File give_file() { return file_->give(); }

 private:
  struct Client;
  using ClientId = ServerEvents::ClientId;

  Server(Instance& instance, const ServerOptions& options);

  [[nodiscard]] Result<void> listen_at(const std::string& path);

  void accept_clients();
  void on_client(ClientId id);
  void on_tick();
  // Each false where the client is done with.
  [[nodiscard]] bool read(ClientId id, Client& client);
  [[nodiscard]] bool write(ClientId id, Client& client);
  [[nodiscard]] bool drain(Client& client) const;
  [[nodiscard]] bool reply(ClientId id, Client& client, std::string text);
  [[nodiscard]] bool begin_stream(ClientId id, Client& client, std::unique_ptr<Stream> stream);
  [[nodiscard]] bool on_streaming(ClientId id, Client& client);
  [[nodiscard]] bool send_stream(ClientId id, Client& client);
  void on_stream_ready(ClientId id);
  void watch_stream(ClientId id, Client& client, std::uint32_t events) const;
  // Listens while there is room, and ticks while there is a client.
  void update() { events_.update(clients_.size() < kMaxClients, !clients_.empty()); }

  Instance& instance_;
  ServerOptions options_;
  std::optional<SocketFile> file_;
  std::unordered_map<ClientId, std::unique_ptr<Client>> clients_;
  ServerEvents events_;
};

}  // namespace sf::control
