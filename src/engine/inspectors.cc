#include "engine/inspectors.hh"

#include "wire/dns.hh"

namespace sf::engine {
namespace {

using wire::ServerName;

constexpr std::uint16_t kHttp = 80;
constexpr std::size_t kLength = 2;

static_assert(wire::kMaxServerNameBytes < tcp::Inspector::kMaxSeen);
static_assert(DnsStreamInspector::kMaxQuery + kLength < tcp::Inspector::kMaxSeen);

}  // namespace

bool ServerNameInspector::admits(const ServerName& server) {
  if (!gate_.admits_server(policy::Protocol::tcp, seen_, address_, server)) return false;
  if (server.state == ServerName::State::named) name_ = server.name;
  return true;
}

tcp::Inspector::Verdict ServerNameInspector::from_guest(Bytes waiting) {
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
      seen_.port == kHttp ? wire::http_host(waiting) : wire::tls_server_name(waiting, &end);
  if (server.state == ServerName::State::more) return {};
  if (!admits(server)) return {.refused = true};
  if (end == 0) return {.done = true};
  phase_ = Phase::answer;
  return {.passes = static_cast<std::uint32_t>(end)};
}

tcp::Inspector::Verdict ServerNameInspector::second_hello(Bytes waiting) {
  const std::size_t before = wire::tls_records_before_handshake(waiting);
  waiting = drop(waiting, before);
  // A record that does not fit is not whole in what is shown, and waits for ever: none is as long.
  if (!waiting.empty() && waiting[0] == wire::kTlsHandshake) {
    std::size_t end = 0;
    const ServerName server = wire::tls_server_name(waiting, &end);
    if (server.state != ServerName::State::more) {
      if (!admits(server)) return {.refused = true};
      return {.done = true};
    }
  }
  return {.passes = static_cast<std::uint32_t>(before)};
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
  answer_ = {};
  return true;
}

tcp::Inspector::Verdict DnsStreamInspector::from_guest(Bytes waiting) {
  Verdict verdict;
  while (waiting.size() >= kLength) {
    const std::size_t length = load_be16(waiting.data());
    if (length > kMaxQuery) return {.refused = true};
    if (waiting.size() < kLength + length) break;
    const auto message = wire::DnsMessage::parse(waiting.subspan(kLength, length));
    if (!message || message->header.response) return {.refused = true};
    if (gate_.ask(message->header, message->question) != policy::Gate::Question::passes)
      return {.refused = true};
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
    if (!gate_.learn(drop(answer_, kLength), now)) return false;
    answer_.clear();
  }
  return true;
}

}  // namespace sf::engine
