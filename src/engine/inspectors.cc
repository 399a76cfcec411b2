#include "engine/inspectors.hh"

#include "wire/dns.hh"
#include "wire/server_name.hh"

namespace sf::engine {
namespace {

constexpr std::uint16_t kHttp = 80;
constexpr std::size_t kLength = 2;

static_assert(wire::kMaxServerNameBytes < tcp::Inspector::kMaxSeen);
static_assert(DnsStreamInspector::kMaxQuery + kLength < tcp::Inspector::kMaxSeen);

}  // namespace

tcp::Inspector::Verdict ServerNameInspector::from_guest(Bytes waiting) {
  const wire::ServerName server =
      seen_.port == kHttp ? wire::http_host(waiting) : wire::tls_server_name(waiting);
  if (server.state == wire::ServerName::State::more) return {};
  if (!gate_.admits_server(seen_, address_, server)) return {.refused = true};
  return {.done = true};
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
