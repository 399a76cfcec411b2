// What an egress policy reads: rules, policy files, the servers that TLS, HTTP and QUIC name, DNS over TCP
// and DNS answers. The first byte says which.
#include <string>

#include "engine/inspectors.hh"
#include "engine/quic_flows.hh"
#include "input.hh"
#include "networks.hh"
#include "policy/file.hh"
#include "policy/gate.hh"
#include "policy/policy.hh"
#include "policy/quic_names.hh"
#include "unit/support/quic_client.hh"
#include "wire/dns_records.hh"

namespace sf::fuzz {
namespace {

using engine::DnsStreamInspector;
using engine::ServerNameInspector;
using policy::Protocol;
using wire::ServerName;

const Endpoint kServer{Address::v4(192, 0, 2, 1), 443};

std::shared_ptr<const policy::Policy> small_policy() {
  std::vector<policy::Rule> rules;
  for (const std::string_view text : {"a.test", "*.b.test:80,443", "192.0.2.7", "udp/c.test:443"}) {
    rules.push_back(*policy::parse_rule(policy::Action::allow, text));
  }
  rules.push_back(policy::deny_all());
  return std::make_shared<const policy::Policy>(std::move(rules), policy::Settings{.check_sni = true});
}

struct Judge {
  Log log{LogLevel::error, [](LogLevel, std::string_view) {}};
  policy::Gate gate{small_policy(), SipKey{1, 2}, log};
};

// --- text

void rule(Bytes bytes) {
  const std::string_view text = text_of(bytes);
  const auto parsed = policy::parse_rule(policy::Action::allow, text);
  if (!parsed) {
    require(parsed.error().column >= 1 && parsed.error().column <= text.size() + 1,
            "a column outside of the rule");
    require(!parsed.error().message.empty() && parsed.error().message.find('\n') == std::string::npos,
            "an error of one line");
    return;
  }
  const std::string shown = parsed->to_string();
  require(shown.starts_with("allow "), "a rule for people");
  const auto again = policy::parse_rule(policy::Action::allow, shown.substr(6));
  require(again && again->to_string() == shown, "a rule there and back");
  const policy::Policy made({*parsed, policy::deny_all()}, {});
  if (parsed->has_name() && parsed->target == policy::Rule::Target::name) {
    require(made.may_resolve(parsed->name) || policy::is_known_resolver(parsed->name), "an allowed name");
  }
  static_cast<void>(made.decide(Protocol::tcp, kServer.address, 443, {}));
}

void file(Bytes bytes) {
  const auto parsed = policy::parse_policy_file("FILE", text_of(bytes));
  if (!parsed) {
    const std::string& line = parsed.error().message;
    require(line.starts_with("FILE") && line.find('\n') == std::string::npos, "an error with its place");
    return;
  }
  require(parsed->rules.size() <= policy::kMaxRules + 1, "too many rules");
  require(!parsed->ttl_floor || (*parsed->ttl_floor >= 1 && *parsed->ttl_floor <= 3600),
          "a floor out of range");
  const policy::Policy made(parsed->rules, {});
  static_cast<void>(made.to_string());
}

// --- streams

struct Outcome {
  bool refused = false;
  bool done = false;
  std::size_t passed = 0;
  bool operator==(const Outcome&) const = default;
};

// As the translator does it: shown from the first byte on that has not passed, as often as something comes.
Outcome shown(tcp::Inspector& inspector, Bytes stream, Input cuts, bool in_one) {
  Outcome outcome;
  std::size_t here = 0;
  while (here < stream.size() && !outcome.refused && !outcome.done) {
    here = in_one ? stream.size() : std::min(stream.size(), here + 1 + cuts.u8() % 64);
    while (true) {
      const Exact waiting(take(drop(take(stream, here), outcome.passed), tcp::Inspector::kMaxSeen));
      const auto verdict = inspector.from_guest(waiting.bytes(), Time{1h});
      require(verdict.passes <= waiting.bytes().size(), "more passes than there is");
      outcome.passed += verdict.passes;
      outcome.refused = verdict.refused;
      outcome.done = verdict.done;
      if (verdict.passes == 0 || verdict.refused || verdict.done || outcome.passed >= here) break;
    }
  }
  // Reset, whatever has left; or all passes.
  if (outcome.refused || outcome.done) outcome.passed = 0;
  return outcome;
}

void server_names(Input in, std::uint16_t port) {
  Judge judge;
  const std::size_t cuts = in.u8();
  const Input where(in.bytes(cuts));
  const Bytes stream = in.rest();
  const Endpoint to{kServer.address, port};
  ServerNameInspector whole(judge.gate, to, to.address);
  ServerNameInspector cut(judge.gate, to, to.address);
  const Outcome one = shown(whole, stream, where, true);
  const Outcome other = shown(cut, stream, where, false);
  require(one == other, "how a stream is cut makes a difference");
  require(whole.server_name() == cut.server_name(), "another name");
  if (one.passed > 0 || one.done) require(!whole.server_name().empty(), "something passes without a name");
}

// The server's first bytes, and what the client sends on.
void second_hello(Input in) {
  Judge judge;
  std::vector<std::uint8_t> first{22, 3, 1};
  const quic_client::Buffer hello = quic_client::hello("a.test");
  quic_client::put(first, hello.size(), 2);
  quic_client::put(first, hello);
  const std::size_t cuts = in.u8();
  const Input where(in.bytes(cuts));
  const std::size_t answer_size = in.u8();
  const Bytes answer = in.bytes(answer_size);
  std::array<Outcome, 2> outcomes;
  for (const bool in_one : {true, false}) {
    ServerNameInspector inspector(judge.gate, kServer, kServer.address);
    const Outcome begun = shown(inspector, first, Input(Bytes{}), true);
    require(begun.passed == first.size() && !begun.done, "the first hello passes");
    bool open = true;
    for (std::size_t at = 0; at < answer.size() && open; at += in_one ? answer.size() : 1) {
      open = inspector.to_guest(in_one ? answer : take(drop(answer, at), 1), {});
    }
    if (open) outcomes[in_one ? 0 : 1] = shown(inspector, in.rest(), where, in_one);
  }
  require(outcomes[0] == outcomes[1], "how a stream is cut makes a difference");
}

void dns_stream(Input in) {
  Judge judge;
  const std::size_t cuts = in.u8();
  const Input where(in.bytes(cuts));
  DnsStreamInspector whole(&judge.gate, {}, nullptr, nullptr);
  DnsStreamInspector cut(&judge.gate, {}, nullptr, nullptr);
  require(shown(whole, in.rest(), where, true) == shown(cut, in.rest(), where, false),
          "how a stream is cut makes a difference");
  Input again = where;
  bool one = whole.to_guest(in.rest(), Time{1h});
  bool other = true;
  for (Bytes rest = in.rest(); other && !rest.empty();) {
    const Bytes part = take(rest, 1 + again.u8() % 64U);
    other = cut.to_guest(part, Time{1h});
    rest = drop(rest, part.size());
  }
  require(one == other, "how an answer is cut makes a difference");
}

// --- datagrams

void dns_answer(Bytes bytes) {
  Judge judge;
  const auto read = wire::read_dns_answer(bytes);
  const bool arrives = judge.gate.learn(bytes, Time{1h});
  require(arrives || (read && read->has_ech), "an answer does not arrive");
  if (!read) return;
  const std::string name = policy::normalized_name(read->question.name);
  const bool opens = name == "a.test" || name == "c.test" || name.ends_with(".b.test");
  for (const wire::DnsAddress& found : read->addresses) {
    const bool open = judge.gate.admits(Protocol::udp, {found.address, 443}, found.address, Time{1h});
    require(!open || (opens && arrives) || found.address == Address::v4(192, 0, 2, 7),
            "what an answer opens");
  }
  const auto message = wire::DnsMessage::parse(bytes);
  if (message) static_cast<void>(judge.gate.ask(message->header, message->question));
}

// A client that builds packets as it likes, of pieces that the input names; and raw datagrams.
void quic(Input in) {
  using quic_client::Buffer;
  policy::QuicNames names(SipKey{1, 2});
  const Endpoint guest{kGuest4, 5000};
  Time now{1h};
  const Buffer own = quic_client::hello("a.test", in.u8());
  while (!in.empty()) {
    const std::uint8_t op = in.u8();
    Buffer datagram;
    if (op % 4 == 0) {
      const std::size_t size = in.u8();
      quic_client::put(datagram, in.bytes(size));
    } else {
      quic_client::Initial what;
      what.version = (op & 0x10) != 0 ? wire::QuicVersion::v2 : wire::QuicVersion::v1;
      what.destination.assign(std::size_t{in.u8()} % 21, in.u8());
      if ((op & 0x20) != 0) what.keyed_by.assign(4, in.u8() % 4);
      what.number = in.u16();
      what.number_size = 1 + op % 4;
      Buffer frames;
      const std::size_t at = in.u8();
      const std::size_t size = in.u8();
      if (op % 4 == 1) {
        frames = quic_client::crypto_frame(at, take(drop(own, at), size));
      } else if (op % 4 == 2) {
        frames = quic_client::crypto_frame(at * 40, in.bytes(size));
      } else {
        quic_client::put(frames, in.bytes(size));
      }
      datagram = quic_client::seal(what, frames, 20 + size);
    }
    if ((op & 0x40) != 0) now += 1s * in.u8();
    const Exact exact(datagram);
    const auto first = names.read(guest, kServer, exact.bytes(), now);
    const auto second = names.read(guest, kServer, exact.bytes(), now);
    require(first.has_value() == second.has_value(), "a datagram read twice");
    if (first && first->state != ServerName::State::foreign && first->state != ServerName::State::more) {
      require(first->state == second->state && first->name == second->name, "a datagram read twice");
    }
    require(names.memory() <= policy::QuicNames::kMaxMemory, "memory");
    static_cast<void>(engine::QuicFlows::begins_nothing(exact.bytes(), op));
  }
}

void dispatch(std::uint8_t kind, Bytes bytes) {
  switch (kind % 8) {
    case 0:
      return rule(bytes);
    case 1:
      return file(bytes);
    case 2:
      return server_names(Input(bytes), 443);
    case 3:
      return server_names(Input(bytes), 80);
    case 4:
      return second_hello(Input(bytes));
    case 5:
      return dns_stream(Input(bytes));
    case 6:
      return dns_answer(bytes);
    default:
      return quic(Input(bytes));
  }
}

}  // namespace
}  // namespace sf::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sf;
  if (size == 0) return 0;
  const fuzz::Exact exact(Bytes{data + 1, size - 1});
  fuzz::dispatch(data[0], exact.bytes());
  return 0;
}
