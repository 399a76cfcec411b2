#include "flowlog/read_records.hh"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "flowlog/record.hh"

namespace sf::flowlog {
namespace {

using Json = nlohmann::json;
using Kind = ReadRecord::Kind;

constexpr std::size_t kMostRead = 2 * kMaxLine;
constexpr std::size_t kMostShown = 60;

constexpr std::array<std::pair<std::string_view, Kind>, 5> kKinds{{{"opened", Kind::opened},
                                                                   {"refused", Kind::refused},
                                                                   {"audited", Kind::audited},
                                                                   {"ended", Kind::ended},
                                                                   {"dropped", Kind::dropped}}};
constexpr std::array<std::pair<std::string_view, policy::Protocol>, 3> kProtocols{
    {{"tcp", policy::Protocol::tcp}, {"udp", policy::Protocol::udp}, {"icmp", policy::Protocol::icmp}}};

template <typename Value, std::size_t kCount>
std::optional<Value> among(const std::array<std::pair<std::string_view, Value>, kCount>& all,
                           std::string_view word) {
  const auto found = std::ranges::find(all, word, &std::pair<std::string_view, Value>::first);
  return found == all.end() ? std::nullopt : std::optional(found->second);
}

// One line; what is wrong with it is thrown as what was expected.
class Line {
 public:
  explicit Line(std::string_view text) : json_(parse(text)) {
    if (json_.is_object()) return;
    throw Wrong{"a record as --flow-log writes them", std::string(text)};
  }

  struct Wrong {
    std::string expected;
    std::string found;
  };

  [[nodiscard]] ReadRecord read() const {
    ReadRecord record;
    const std::string event = text("event");
    const auto kind = among(kKinds, event);
    if (!kind) throw Wrong{"event to be opened, refused, audited, ended or dropped", event};
    record.kind = *kind;
    record.time = text("time");
    if (record.kind == Kind::dropped) {
      record.count = number("count");
      return record;
    }
    const std::string protocol = text("protocol");
    record.name = policy::normalized_name(optional_text("name"));
    record.reason = record.kind == Kind::opened ? std::string() : text("reason");
    record.question = protocol == "dns";
    if (record.question) return record;
    const auto known = among(kProtocols, protocol);
    if (!known) throw Wrong{"protocol to be tcp, udp, icmp or dns", protocol};
    record.protocol = *known;
    if (record.others = flag("others"); !record.others) record.id = number("id");
    record.inbound = flag("inbound");
    record.forwarder = flag("forwarder");
    record.audited = flag("audited") || record.kind == Kind::audited;
    record.guest = end("guest");
    if (!record.others) record.remote = end("remote");
    record.server_name = policy::normalized_name(optional_text("server_name"));
    if (record.kind == Kind::ended) {
      record.bytes_from_guest = number("bytes_from_guest");
      record.bytes_to_guest = number("bytes_to_guest");
    }
    return record;
  }

 private:
  static Json parse(std::string_view text) {
    // A record is flat: so nothing can nest deeply.
    const auto flat = [](int depth, Json::parse_event_t, Json&) { return depth <= 1; };
    return Json::parse(text.begin(), text.end(), flat, false);
  }
  [[nodiscard]] const Json* find(const char* key) const {
    const auto found = json_.find(key);
    return found == json_.end() ? nullptr : &*found;
  }
  [[nodiscard]] static std::string shown(const Json* value) {
    return value == nullptr ? "nothing" : value->dump(-1, ' ', true, Json::error_handler_t::replace);
  }
  [[nodiscard]] std::string optional_text(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) throw Wrong{fmt::format("{} to be a text", key), shown(value)};
    return value->get<std::string>();
  }
  [[nodiscard]] std::string text(const char* key) const {
    if (find(key) == nullptr) throw Wrong{fmt::format("{}", key), "nothing"};
    return optional_text(key);
  }
  [[nodiscard]] std::uint64_t number(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr || !value->is_number_unsigned())
      throw Wrong{fmt::format("{} to be a number", key), shown(value)};
    return value->get<std::uint64_t>();
  }
  [[nodiscard]] bool flag(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) throw Wrong{fmt::format("{} to be true or false", key), shown(value)};
    return value->get<bool>();
  }
  [[nodiscard]] Endpoint end(std::string_view which) const {
    const std::string key = fmt::format("{}_addr", which);
    const std::string address = text(key.c_str());
    const auto parsed = Address::parse(address);
    if (!parsed) throw Wrong{fmt::format("{} to be an IP address", key), address};
    const std::string port_key = fmt::format("{}_port", which);
    const std::uint64_t port = number(port_key.c_str());
    if (port > 0xffff) throw Wrong{fmt::format("{} to be at most 65535", port_key), std::to_string(port)};
    return {*parsed, static_cast<std::uint16_t>(port)};
  }

  Json json_;
};

// For a message of one line.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMostShown)) out += c >= 0x20 && c < 0x7f ? c : '?';
  if (text.size() > kMostShown) out += "...";
  return out;
}

}  // namespace

Result<ReadSummary> read_records(std::istream& log, std::string_view name,
                                 wire::FunctionRef<void(const ReadRecord&)> visit) {
  ReadSummary summary;
  std::uint64_t number = 0;
  for (std::string line; std::getline(log, line);) {
    ++number;
    if (line.empty()) continue;  // behind a line that was cut off
    try {
      if (line.size() > kMostRead)
        throw Line::Wrong{fmt::format("a line of {} bytes at most", kMostRead), line};
      visit(Line(line).read());
    } catch (const Line::Wrong& wrong) {
      // A last line without an end: the disk was full, the program was killed, or it still writes.
      summary.cut = log.eof();
      if (summary.cut) break;
      return fail("{}:{}: expected {}, not '{}'", name, number, wrong.expected, shown(wrong.found));
    }
    ++summary.records;
  }
  if (log.bad()) return fail("reading {} failed; check that it can be read", name);
  return summary;
}

}  // namespace sf::flowlog
