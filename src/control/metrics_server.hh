// Serves the metrics over HTTP: one request per connection.
//
//     accept ── reading ──(header complete, malformed, too late)── writing ── draining ── closed
//
// Nothing here waits. As control/server.hh: all descriptors are in one epoll instance that the caller watches
// with its own, and on_ready() does a bounded amount of work: one read or write per client that is ready, at
// most kAcceptsPerTurn new clients, and the text, for which all shards are asked, is made once for all that
// ask within kTextKept. A reply waits in its client's buffer until it is taken. Where kMaxClients are
// there, the next one takes the place of one that has had its reply, else of one that has asked nothing, else
// of the one that came first: who asks at once is answered at once, however many others say nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hh"
#include "base/time.hh"
#include "base/unique_fd.hh"
#include "control/metrics_address.hh"
#include "control/server_events.hh"
#include "control/socket_file.hh"

namespace sf::control {

class MetricsServer {
 public:
  static constexpr std::size_t kMaxClients = 32;
  static constexpr unsigned kAcceptsPerTurn = 8;
  static constexpr unsigned kReadTicks = 5;    // for the request
  static constexpr unsigned kTotalTicks = 15;  // until the reply has been taken

  static constexpr Duration kTextKept = 200ms;  // however many ask

  using Text = std::function<std::string()>;

  // Listens; `text` makes the metrics. `tick` is the unit of the limits above; tests make it short, and
  // `text_kept` as well.
  [[nodiscard]] static Result<std::unique_ptr<MetricsServer>> open(const MetricsAddress& address, Text text,
                                                                   Duration tick = 1s,
                                                                   Duration text_kept = kTextKept);
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;
  // Removes the socket file, if there is one and it is still this one.
  ~MetricsServer();

  // Readable whenever on_ready() has something to do (level-triggered).
  [[nodiscard]] int fd() const { return events_.fd(); }
  void on_ready();
  // With the port that the host has chosen.
  [[nodiscard]] const MetricsAddress& address() const { return address_; }
  // Absent where it is no Unix socket. It is then for somebody else to remove.
  [[nodiscard]] std::optional<SocketFile::Given> give_file();

 private:
  struct Client;
  using ClientId = ServerEvents::ClientId;

  MetricsServer(MetricsAddress address, Text text, Duration tick, Duration text_kept);

  [[nodiscard]] Result<void> listen();
  [[nodiscard]] Result<void> bind_to_port();
  void accept_clients();
  void make_room();
  void on_client(ClientId id);
  void on_tick();
  // Each false where the client is done with.
  [[nodiscard]] bool read(ClientId id, Client& client);
  [[nodiscard]] bool write(ClientId id, Client& client);
  [[nodiscard]] bool drain(Client& client) const;
  [[nodiscard]] const std::string& text();
  [[nodiscard]] std::string answer(const std::string& request);

  MetricsAddress address_;
  Text make_text_;
  Duration tick_;
  Duration text_kept_;
  std::optional<std::string> text_;
  UniqueFd text_timer_;  // readable once text_ is too old
  std::optional<SocketFile> file_;
  std::map<ClientId, std::unique_ptr<Client>> clients_;  // who came first is first
  ServerEvents events_;
};

}  // namespace sf::control
