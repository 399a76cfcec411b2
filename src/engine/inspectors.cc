#include "engine/inspectors.hh"

#include "base/give_back.hh"
#include "wire/dns.hh"

namespace sf::engine {
namespace {

using wire::ServerName;

constexpr std::uint16_t kHttp = 80;
constexpr std::size_t kLength = 2;

static_assert(wire::kMaxServerNameBytes < tcp::Inspector::kMaxSeen);
static_assert(DnsStreamInspector::kMaxQuery + kLength < tcp::Inspector::kMaxSeen);

}  // namespace

bool ServerNameInspector::admits(const ServerName& server, Verdict& verdict) {
  if (!gate_.admits_server(policy::Protocol::tcp, remote_, address_, server, &verdict.audited)) {
    verdict = {.refused = true};
    return false;
  }
  if (server.state == ServerName::State::named) name_ = server.name;
  return true;
}

tcp::Inspector::Verdict ServerNameInspector::from_guest(Bytes waiting, Time) {
  switch (phase_) {
    case Phase::hello:
      break;
    case Phase::answer:
      return {};
    case Phase::second_hello:
      return second_hello(waiting);
    case Phase::over:
      return {.done = true};
  }
  std::size_t end = 0;
  const ServerName server =
      remote_.port == kHttp ? wire::http_host(waiting) : wire::tls_server_name(waiting, &end);
  if (server.state == ServerName::State::more) return {};
  Verdict verdict;
  if (!admits(server, verdict)) return verdict;
  if (end == 0) {
    verdict.done = true;
    return verdict;
  }
  phase_ = Phase::answer;
  verdict.passes = static_cast<std::uint32_t>(end);
  return verdict;
}

tcp::Inspector::Verdict ServerNameInspector::second_hello(Bytes waiting) {
  const std::size_t before = wire::tls_records_before_handshake(waiting);
  waiting = drop(waiting, before);
  Verdict verdict{.passes = static_cast<std::uint32_t>(before)};
  // A record that does not fit is not whole in what is shown, and waits for ever: none is as long.
  if (waiting.empty() || waiting[0] != wire::kTlsHandshake) return verdict;
  std::size_t end = 0;
  const ServerName server = wire::tls_server_name(waiting, &end);
  if (server.state == ServerName::State::more) return verdict;
  verdict = {};
  if (admits(server, verdict)) verdict.done = true;
  return verdict;
}

bool ServerNameInspector::to_guest(Bytes bytes, Time) {
  if (phase_ != Phase::answer) return true;
  answer_.insert(answer_.end(), bytes.begin(), take(bytes, wire::kMaxTlsAnswer).end());
  switch (wire::tls_answer(answer_)) {
    case wire::TlsAnswer::more:
      // No server needs as much.
      return answer_.size() < wire::kMaxTlsAnswer;
    case wire::TlsAnswer::hello_again:
      phase_ = Phase::second_hello;
      break;
    case wire::TlsAnswer::other:
      phase_ = Phase::over;
      break;
  }
  give_back_all(answer_);
  return true;
}

bool DnsStreamInspector::admits(const wire::DnsMessage& message, Time now) {
  bool audited = false;
  const bool admitted =
      gate_->ask(message.header, message.question, &audited) == policy::Gate::Question::passes;
  if (questions_ == nullptr || (admitted && !audited)) return admitted;
  questions_->refused(guest_, message.question, audited, now);
  return admitted;
}

tcp::Inspector::Verdict DnsStreamInspector::from_guest(Bytes waiting, Time now) {
  Verdict verdict;
  if (gate_ == nullptr) {
    verdict.passes = static_cast<std::uint32_t>(waiting.size());
    return verdict;
  }
  while (waiting.size() >= kLength) {
    const std::size_t length = load_be16(waiting.data());
    if (length > kMaxQuery) return {.refused = true};
    if (waiting.size() < kLength + length) break;
    const auto message = wire::DnsMessage::parse(waiting.subspan(kLength, length));
    if (!message || message->header.response) return {.refused = true};
    if (!admits(*message, now)) return {.refused = true};
    verdict.passes += static_cast<std::uint32_t>(kLength + length);
    waiting = drop(waiting, kLength + length);
  }
  return verdict;
}

bool DnsStreamInspector::to_guest(Bytes bytes, Time now) {
  while (!bytes.empty()) {
    const std::size_t whole = answer_.size() < kLength ? kLength : kLength + load_be16(answer_.data());
    const Bytes part = take(bytes, whole - answer_.size());
    answer_.insert(answer_.end(), part.begin(), part.end());
    bytes = drop(bytes, part.size());
    if (answer_.size() < kLength || answer_.size() < kLength + load_be16(answer_.data())) continue;
    if (watch_ != nullptr) watch_->on_dns_answer(drop(answer_, kLength));
    if (gate_ != nullptr && !gate_->learn(drop(answer_, kLength), now)) return false;
    answer_.clear();
  }
  return true;
}

}  // namespace sf::engine
