// The DNS forwarder's UDP side: queries that the guest sends to the DNS address go to the host's name
// servers, and their answers come back as they are. Nothing is cached and nothing is resolved here.
//
// Theory of operation. A query leaves from a random socket of a small pool, under a random id of ours; the
// guest's id is put back into the answer. An answer counts only when socket, id, sender and question fit a
// query that waits for it (RFC 5452 section 9.1). A server that says nothing for kServerTimeout, that cannot
// be reached, or that refuses to work (SERVFAIL, NOTIMP, REFUSED) is followed by the next one, twice around
// the list; answers of earlier servers are still taken then. In the end the guest gets a SERVFAIL, so that
// its resolver does not have to time out.
//
//   query ──> [ sent to server n ] ──answer──> relayed
//                │  ^
//      timeout,  │  │ n+1, while there are attempts left
//      error ────┴──┘
//                └── none left ──> waits for late answers until kMinimumLife ──> SERVFAIL
//
// One allocation per query (it is kept to be sent again); all of them together are bounded in number and in
// bytes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/address.hh"
#include "base/bytes.hh"
#include "base/flow_events.hh"
#include "base/time.hh"
#include "host/host.hh"
#include "policy/gate.hh"
#include "services/dns_socket_pool.hh"
#include "services/question_records.hh"
#include "wire/dns.hh"

namespace sf::services {

// Where answers go: the engine, which sends them as UDP datagrams from `dns_address` to `guest`.
class DnsReplySink {
 public:
  DnsReplySink() = default;
  DnsReplySink(const DnsReplySink&) = delete;
  DnsReplySink& operator=(const DnsReplySink&) = delete;
  virtual ~DnsReplySink() = default;

  // `answer` is valid during the call.
  virtual void dns_reply(const Endpoint& guest, const MacAddress& guest_mac, const Endpoint& dns_address,
                         Bytes answer, Time now) = 0;
};

struct DnsCounters {
  std::uint64_t queries = 0;     // from the guest, malformed ones and duplicates included
  std::uint64_t answers = 0;     // relayed
  std::uint64_t malformed = 0;   // queries that are not one: answered with FORMERR, or dropped
  std::uint64_t duplicates = 0;  // sent again by the guest while the first one is still pending
  std::uint64_t overflows = 0;   // SERVFAIL at once: too many pending
  std::uint64_t failures = 0;    // SERVFAIL in the end: no server answered
  std::uint64_t timeouts = 0;    // of those, such as one was waited for until the end
  std::uint64_t refused = 0;     // by the egress policy
  std::uint64_t rejected = 0;    // from the host's side, and no answer that anybody waits for

  void add(const DnsCounters& other);
};

class DnsForwarder {
 public:
  // 32 bits that nobody can predict.
  using Random = std::function<std::uint32_t()>;

  static constexpr std::size_t kMaxPending = 1024;
  static constexpr std::size_t kMaxPendingBytes = 1U << 20;
  static constexpr Duration kServerTimeout = 1500ms;
  // A query that may still be answered is not given up before kMinimumLife, just below the 5 s after which
  // stub resolvers ask again, nor kept beyond kMaximumLife.
  static constexpr Duration kMinimumLife = 4500ms;
  static constexpr Duration kMaximumLife = 12s;
  static constexpr Duration kIdleClose = 30s;

  // Sockets are opened with the tokens base_token + 0 to base_token + kTokens - 1. `host` and `sink` outlive
  // this.
  static constexpr std::uint32_t kTokens = DnsSocketPool::kSockets;
  DnsForwarder(host::Host& host, DnsReplySink& sink, Random random, host::Token base_token);

  // The egress policy that questions and answers have to pass; null: none. It outlives this.
  void set_gate(policy::Gate* gate) { gate_ = gate; }
  // Who is told of answers and of refused questions; null: nobody. It outlives this.
  void set_watch(DnsWatch* watch, QuestionRecords* questions) {
    watch_ = watch;
    questions_ = questions;
  }

  // A UDP payload from the guest. `dns_address` is what the guest sent it to. The sink may be called before
  // this returns.
  void query(const Endpoint& guest, const MacAddress& guest_mac, const Endpoint& dns_address, Bytes message,
             Time now);
  // An event with the token base_token + socket_index.
  void on_socket_event(std::uint32_t socket_index, host::Readiness readiness, Time now);

  // When on_deadline() wants to be called; kNever without pending queries and open sockets. It may be too
  // early by up to a server's timeout, never too late.
  [[nodiscard]] Time deadline() const { return deadline_; }
  void on_deadline(Time now);

  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  [[nodiscard]] const DnsCounters& counters() const { return counters_; }

 private:
  static constexpr std::size_t kMaxServers = host::Resolvers::kMaxServers;
  static constexpr std::uint32_t kNoIndex = 0xffffffffU;

  struct Pending {
    Endpoint guest;
    MacAddress guest_mac;
    Endpoint dns_address;
    std::uint16_t guest_id = 0;
    std::vector<std::uint8_t> message;  // with our id
    wire::DnsQuestion question;
    // resolv.conf may change while the query is pending: the list as it was when it began.
    std::array<Endpoint, kMaxServers> servers;
    std::size_t server_count = 0;
    std::size_t attempts = 0;        // so far; attempt n asks server n % server_count
    std::uint32_t sent_mask = 0;     // bit i: server i was asked
    std::uint32_t awaited_mask = 0;  // bit i: server i was asked and may still answer
    std::array<std::uint32_t, 2> sockets{kNoIndex, kNoIndex};  // pool indexes, of IPv4 and of IPv6
    Time started;
    Time deadline;

    [[nodiscard]] std::size_t last_server() const { return (attempts - 1) % server_count; }
    [[nodiscard]] bool has_attempts_left() const { return attempts < 2 * server_count; }
    [[nodiscard]] bool waits_on(std::uint32_t socket_index) const {
      return sockets[0] == socket_index || sockets[1] == socket_index;
    }
    // Which server an endpoint is, among those asked; nothing else may answer.
    [[nodiscard]] std::optional<std::size_t> asked_server(const Endpoint& from) const;
  };
  using PendingMap = std::unordered_map<std::uint16_t, Pending>;  // by our id

  [[nodiscard]] bool is_duplicate(const Pending& query) const;
  [[nodiscard]] std::uint16_t free_id() const;
  // The policy lets it pass; else the guest has been told.
  [[nodiscard]] bool admits(const Pending& query, const wire::DnsHeader& header, Time now);
  void reply_error(const Pending& query, wire::DnsRcode rcode, Time now);
  // Asks the next server that takes the query; gives up where nobody is left to answer. Invalidates `it`.
  void advance(PendingMap::iterator it, Time now);
  [[nodiscard]] bool send(Pending& query, std::size_t server);
  void server_failed(PendingMap::iterator it, std::size_t server, Time now);
  void give_up(PendingMap::iterator it, Time now);
  // Takes a query out of the table.
  [[nodiscard]] Pending finish(PendingMap::iterator it, Time now);
  void on_answer(std::uint32_t socket_index, const Endpoint& from, Bytes answer, Time now);
  void on_error(std::uint32_t socket_index, const host::DatagramError& error, Time now);
  void wake_by(Time time) { deadline_ = std::min(deadline_, time); }

  host::Host& host_;
  DnsReplySink& sink_;
  Random random_;
  policy::Gate* gate_ = nullptr;
  DnsWatch* watch_ = nullptr;
  QuestionRecords* questions_ = nullptr;
  DnsSocketPool pool_;
  PendingMap pending_;
  std::size_t pending_bytes_ = 0;
  std::vector<std::uint8_t> scratch_;  // an answer whose id is being put back
  Time idle_since_{};
  Time deadline_ = kNever;
  DnsCounters counters_;
};

}  // namespace sf::services
