// The egress policy at work: what is asked for each new flow, each DNS question, and each server name.
//
// One gate serves all threads. They meet at a mutex for what is new, and nowhere for flows that exist: those
// only compare generation(), an atomic that changes with the policy.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.hh"
#include "base/log.hh"
#include "base/siphash.hh"
#include "base/time.hh"
#include "policy/learned_names.hh"
#include "policy/policy.hh"
#include "policy/refusals.hh"
#include "wire/dns.hh"
#include "wire/server_name.hh"

namespace sf::policy {

class Gate {
 public:
  static constexpr Duration kMaxTtl = 24h;

  // Whether a DNS query may go on.
  enum class Question : std::uint8_t { passes, no_such_name, refused };

  // `policy` may be null: then everything passes. `key` is for hashing. `log` outlives the gate.
  Gate(std::shared_ptr<const Policy> policy, SipKey key, const Log& log);

  void replace(std::shared_ptr<const Policy> policy);
  [[nodiscard]] std::shared_ptr<const Policy> policy() const;
  // There is a policy. Without one nothing needs to be asked.
  [[nodiscard]] bool active() const { return active_.load(std::memory_order_relaxed); }
  // Changes with the policy; never 0.
  [[nodiscard]] std::uint32_t generation() const { return generation_.load(std::memory_order_relaxed); }

  // May the guest begin a flow? `address` is what the host's socket will be given, `seen` what the guest
  // sees. `audited`, where it is given, tells that it would be refused, and only an audit lets it.
  [[nodiscard]] bool admits(Protocol protocol, const Endpoint& seen, const Address& address, Time now,
                            bool* audited = nullptr);
  // Must the server's name be seen before a byte of the flow leaves?
  [[nodiscard]] bool wants_server_name(Protocol protocol, std::uint16_t port) const;
  // A flow that was admitted, and whose first bytes have named a server. Decided as if its address were known
  // by that name alone.
  [[nodiscard]] bool admits_server(Protocol protocol, const Endpoint& seen, const Address& address,
                                   const wire::ServerName& server, bool* audited = nullptr);

  // A query with one question. Anything but a question (opcode 0) is refused.
  [[nodiscard]] Question ask(const wire::DnsHeader& header, const wire::DnsQuestion& question,
                             bool* audited = nullptr);
  // An answer on its way to the guest: what it opens is remembered. False: it must not arrive, as it would
  // have the client hide server names.
  [[nodiscard]] bool learn(Bytes answer, Time now);

  [[nodiscard]] std::uint64_t refusals() const;
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> refused(std::size_t most) const;
  void summarize() const;

 private:
  // Holds the lock; what there is to log is written without it, as whoever reads the log may be slow.
  class Decision;
  // Notes a refusal. True where it passes all the same.
  [[nodiscard]] bool refuse(Decision& decision, const std::string& target, bool* audited);

  const Log& log_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Policy> policy_;
  LearnedNames learned_;
  Refusals refusals_;
  std::atomic<std::uint32_t> generation_{1};
  std::atomic<bool> check_sni_{false};
  std::atomic<bool> active_{false};
};

}  // namespace sf::policy
