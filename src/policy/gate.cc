#include "policy/gate.hh"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "wire/dns_records.hh"

namespace sf::policy {
namespace {

constexpr std::uint16_t kHttp = 80;
constexpr std::uint16_t kHttps = 443;
constexpr std::uint16_t kInternetClass = 1;

std::string describe(Protocol protocol, const Endpoint& seen, std::string_view name) {
  const std::string end = protocol == Protocol::icmp ? seen.address.to_string() : seen.to_string();
  return name.empty() ? fmt::format("{} {}", to_string(protocol), end)
                      : fmt::format("{} {} ({})", to_string(protocol), end, name);
}

}  // namespace

class Gate::Decision {
 public:
  explicit Decision(Gate& gate) : gate_(gate), lock_(gate.mutex_) {}
  Decision(const Decision&) = delete;
  Decision& operator=(const Decision&) = delete;
  ~Decision() {
    lock_.unlock();
    if (line) gate_.log_.warning("{}", *line);
  }

  std::optional<std::string> line;

 private:
  Gate& gate_;
  std::unique_lock<std::mutex> lock_;
};

Gate::Gate(std::shared_ptr<const Policy> policy, SipKey key, const Log& log)
    : log_(log), policy_(std::move(policy)), learned_(key), refusals_(log) {
  if (policy_ == nullptr) return;
  check_sni_ = policy_->settings().check_sni;
  active_ = true;
}

void Gate::replace(std::shared_ptr<const Policy> policy) {
  // The old policy goes with the argument, without the lock.
  const std::lock_guard lock(mutex_);
  std::swap(policy_, policy);
  check_sni_.store(policy_ != nullptr && policy_->settings().check_sni, std::memory_order_relaxed);
  active_.store(policy_ != nullptr, std::memory_order_relaxed);
  learned_.forget_matches();
  if (generation_.fetch_add(1, std::memory_order_relaxed) + 1 == 0) ++generation_;
}

std::shared_ptr<const Policy> Gate::policy() const {
  const std::lock_guard lock(mutex_);
  return policy_;
}

bool Gate::refuse(Decision& decision, const std::string& target, bool* audited) {
  const bool audit = policy_->settings().audit;
  if (audited != nullptr) *audited = audit;
  decision.line = refusals_.note(target, audit);
  return audit;
}

bool Gate::admits(Protocol protocol, const Endpoint& seen, const Address& address, Time now, bool* audited) {
  Decision decision(*this);
  if (policy_ == nullptr) return true;
  std::span<const NameMatch> names;
  // No name leads to the host's loopback, whatever its owner says: an answer 127.0.0.1 is the guest's own.
  if (policy_->has_names() && !address.is_loopback()) names = learned_.find(address, *policy_, now);
  if (policy_->decide(protocol, address, seen.port, names).allowed) return true;
  return refuse(decision, describe(protocol, seen, learned_.name_of(address)), audited);
}

bool Gate::wants_server_name(Protocol protocol, std::uint16_t port) const {
  const bool named = port == kHttps ? protocol != Protocol::icmp : port == kHttp && protocol == Protocol::tcp;
  return named && check_sni_.load(std::memory_order_relaxed);
}

bool Gate::admits_server(Protocol protocol, const Endpoint& seen, const Address& address,
                         const wire::ServerName& server, bool* audited) {
  Decision decision(*this);
  if (policy_ == nullptr) return true;
  const std::string name =
      server.state == wire::ServerName::State::named ? normalized_name(server.name) : std::string();
  NameMatch match;
  std::span<const NameMatch> names;
  if (!name.empty()) {
    match = policy_->match(name);
    names = {&match, 1};
  }
  if (policy_->decide(protocol, address, seen.port, names).allowed) return true;
  // Foreign: none that can be told; there may be one.
  const bool foreign = server.state == wire::ServerName::State::foreign;
  const std::string said = !name.empty() ? "server name " + name
                           : foreign     ? "server name unknown"
                                         : "no server name";
  return refuse(decision, describe(protocol, seen, said), audited);
}

Gate::Question Gate::ask(const wire::DnsHeader& header, const wire::DnsQuestion& question, bool* audited) {
  Decision decision(*this);
  if (policy_ == nullptr) return Question::passes;
  const std::string name = normalized_name(question.name);
  const bool plain = header.opcode == 0 && question.dns_class == kInternetClass;
  if (plain && policy_->may_resolve(name)) return Question::passes;
  if (refuse(decision, fmt::format("dns {}", question.name), audited)) return Question::passes;
  return policy_->settings().refuse_with_refused || !plain ? Question::refused : Question::no_such_name;
}

bool Gate::learn(Bytes answer, Time now) {
  const std::lock_guard lock(mutex_);
  if (policy_ == nullptr || !policy_->has_names()) return true;
  const auto read = wire::read_dns_answer(answer);
  if (!read) return true;
  if (read->has_ech && !policy_->settings().audit) return false;
  const std::string name = normalized_name(read->question.name);
  if (name.empty() || !policy_->opens_addresses(policy_->match(name))) return true;
  const Duration floor = std::chrono::seconds(policy_->settings().ttl_floor);
  for (const wire::DnsAddress& found : read->addresses) {
    const Duration ttl = std::clamp<Duration>(std::chrono::seconds(found.ttl), floor, kMaxTtl);
    learned_.learn(found.address, name, *policy_, now + ttl, now);
  }
  return true;
}

std::uint64_t Gate::refusals() const {
  const std::lock_guard lock(mutex_);
  return refusals_.total();
}

std::vector<std::pair<std::string, std::uint64_t>> Gate::refused(std::size_t most) const {
  const std::lock_guard lock(mutex_);
  return refusals_.list(most);
}

void Gate::summarize() const {
  const std::lock_guard lock(mutex_);
  refusals_.summarize();
}

}  // namespace sf::policy
