// What an egress policy has to see of TCP connections (tcp/inspector.hh): the server's name, and DNS over
// TCP.
#pragma once

#include <vector>

#include "base/address.hh"
#include "policy/gate.hh"
#include "tcp/inspector.hh"

namespace sf::engine {

// Holds a connection's first bytes until they have named a server that is allowed.
class ServerNameInspector final : public tcp::Inspector {
 public:
  // `gate` outlives this. `seen` is the remote end as the guest has it, `address` the same for the host.
  ServerNameInspector(policy::Gate& gate, const Endpoint& seen, const Address& address)
      : gate_(gate), seen_(seen), address_(address) {}

  [[nodiscard]] Verdict from_guest(Bytes waiting) override;
  [[nodiscard]] bool to_guest(Bytes, Time) override { return true; }

 private:
  policy::Gate& gate_;
  Endpoint seen_;
  Address address_;
};

// Lets DNS messages pass one by one (RFC 1035 section 4.2.2: each with its length before it), and learns from
// answers.
class DnsStreamInspector final : public tcp::Inspector {
 public:
  static constexpr std::size_t kMaxQuery = 4096;

  explicit DnsStreamInspector(policy::Gate& gate) : gate_(gate) {}

  [[nodiscard]] Verdict from_guest(Bytes waiting) override;
  [[nodiscard]] bool to_guest(Bytes bytes, Time now) override;

 private:
  policy::Gate& gate_;
  std::vector<std::uint8_t> answer_;  // as much as has come, with its length
};

}  // namespace sf::engine
