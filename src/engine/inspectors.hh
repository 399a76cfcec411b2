// What an egress policy has to see of TCP connections (tcp/inspector.hh): the server's name, and DNS over
// TCP. UDP is quic_flows.hh's.
#pragma once

#include <string>
#include <vector>

#include "base/address.hh"
#include "base/flow_events.hh"
#include "engine/flow_table.hh"
#include "policy/gate.hh"
#include "services/question_records.hh"
#include "tcp/inspector.hh"
#include "wire/server_name.hh"

namespace sf::engine {

// Holds a connection's first bytes until they have named a server that is allowed. What a TLS client sends
// behind its hello waits for the server's answer, which may ask for another one: that is looked at as well.
class ServerNameInspector final : public tcp::Inspector {
 public:
  // `gate` outlives this. `remote` is as the guest has it, `address` is that for the host.
  ServerNameInspector(policy::Gate& gate, const Endpoint& remote, const Address& address)
      : gate_(gate), remote_(remote), address_(address) {}

  [[nodiscard]] Verdict from_guest(Bytes waiting, Time now) override;
  [[nodiscard]] bool to_guest(Bytes bytes, Time now) override;
  [[nodiscard]] std::string_view server_name() const override { return name_; }

 private:
  enum class Phase : std::uint8_t { hello, answer, second_hello, over };

  // Judges the name; `verdict` becomes what was found.
  [[nodiscard]] bool admits(const wire::ServerName& server, Verdict& verdict);
  [[nodiscard]] Verdict second_hello(Bytes waiting);

  policy::Gate& gate_;
  Endpoint remote_;
  Address address_;
  Phase phase_ = Phase::hello;
  std::string name_;
  std::vector<std::uint8_t> answer_;  // the server's first bytes, while they are awaited
};

// Lets DNS messages pass one by one (RFC 1035 section 4.2.2: each with its length before it), and learns from
// answers. Without a policy it only shows the answers to whoever watches.
class DnsStreamInspector final : public tcp::Inspector {
 public:
  static constexpr std::size_t kMaxQuery = 4096;

  // Each may be null, else outlives this.
  DnsStreamInspector(policy::Gate* gate, const Endpoint& guest, DnsWatch* watch,
                     services::QuestionRecords* questions)
      : gate_(gate), guest_(guest), watch_(watch), questions_(questions) {}

  [[nodiscard]] Verdict from_guest(Bytes waiting, Time now) override;
  [[nodiscard]] bool to_guest(Bytes bytes, Time now) override;

 private:
  [[nodiscard]] bool admits(const wire::DnsMessage& message, Time now);

  policy::Gate* gate_;
  Endpoint guest_;
  DnsWatch* watch_;
  services::QuestionRecords* questions_;
  std::vector<std::uint8_t> answer_;  // as much as has come, with its length
};

}  // namespace sf::engine
