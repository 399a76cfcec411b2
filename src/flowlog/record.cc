#include "flowlog/record.hh"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <concepts>
#include <iterator>

namespace sf::flowlog {
namespace {

// Lines are made by the ten thousand a second: formats are compiled, and what needs none is appended.
template <typename Format, typename... Values>
void append(std::string& out, const Format& format, const Values&... values) {
  fmt::format_to(std::back_inserter(out), format, values...);
}

// RFC 3339, with microseconds.
void append_time(std::string& out, std::chrono::nanoseconds since_1970) {
  const auto days = std::chrono::floor<std::chrono::days>(since_1970);
  const std::chrono::year_month_day date{std::chrono::sys_days(days)};
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::microseconds>(since_1970 - days));
  append(out, FMT_COMPILE(R"({{"time":"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z")"), int{date.year()},
         unsigned{date.month()}, unsigned{date.day()}, clock.hours().count(), clock.minutes().count(),
         clock.seconds().count(), clock.subseconds().count());
}

// Bytes that are no ASCII may be no UTF-8 either: they become the characters of the same numbers.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e) {
      append(out, FMT_COMPILE("\\u{:04x}"), byte);
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  out += '"';
}

void append_key(std::string& out, std::string_view key) {
  out += ",\"";
  out += key;
  out += "\":";
}

void append_text(std::string& out, std::string_view key, std::string_view text) {
  append_key(out, key);
  append_quoted(out, text);
}

void append_number(std::string& out, std::string_view key, std::integral auto number) {
  append_key(out, key);
  const fmt::format_int digits(number);
  out.append(digits.data(), digits.size());
}

void append_address(std::string& out, std::string_view key, const Address& address) {
  append_key(out, key);
  out += '"';
  out += address.to_string();
  out += '"';
}

void append_duration(std::string& out, std::string_view key, const std::optional<Duration>& duration) {
  if (!duration) return;
  append_number(out, key, std::chrono::duration_cast<std::chrono::microseconds>(*duration).count());
}

void append_counts(std::string& out, const FlowEvent& event) {
  append_number(out, "bytes_from_guest", event.counts.bytes_from_guest);
  append_number(out, "bytes_to_guest", event.counts.bytes_to_guest);
  if (event.counts_packets) {
    append_number(out, "packets_from_guest", event.counts.packets_from_guest);
    append_number(out, "packets_to_guest", event.counts.packets_to_guest);
  }
  append_duration(out, "rtt_us", event.rtt);
  append_duration(out, "remote_rtt_us", event.remote_rtt);
  if (!event.others) append_duration(out, "duration_us", event.duration);
}

}  // namespace

Record::Record(const FlowEvent& of)
    : event(of), name(of.name.substr(0, kMaxName)), server_name(of.server_name.substr(0, kMaxName)) {
  event.name = {};
  event.server_name = {};
}

std::string_view to_string(FlowEvent::Kind kind) {
  switch (kind) {
    case FlowEvent::Kind::opened:
      return "opened";
    case FlowEvent::Kind::refused:
      return "refused";
    case FlowEvent::Kind::audited:
      return "audited";
    case FlowEvent::Kind::ended:
      return "ended";
  }
  return "";
}

std::string_view to_string(FlowProtocol protocol) {
  switch (protocol) {
    case FlowProtocol::tcp:
      return "tcp";
    case FlowProtocol::udp:
      return "udp";
    case FlowProtocol::icmp:
      return "icmp";
    case FlowProtocol::dns:
      return "dns";
  }
  return "";
}

std::string_view to_string(FlowCause cause) {
  switch (cause) {
    case FlowCause::none:
      return "unknown";
    case FlowCause::finished:
      return "finished";
    case FlowCause::guest_reset:
      return "reset by guest";
    case FlowCause::remote_reset:
      return "reset by remote";
    case FlowCause::guest_silent:
      return "guest does not answer";
    case FlowCause::remote_silent:
      return "remote does not answer";
    case FlowCause::idle:
      return "idle";
    case FlowCause::evicted:
      return "evicted";
    case FlowCause::port_removed:
      return "port removed";
    case FlowCause::replaced:
      return "replaced";
    case FlowCause::program_end:
      return "program ended";
    case FlowCause::policy:
      return "policy";
    case FlowCause::limit:
      return "limit";
    case FlowCause::unreachable:
      return "unreachable";
    case FlowCause::remote_refused:
      return "refused by remote";
    case FlowCause::no_answer:
      return "no answer";
    case FlowCause::guest_refused:
      return "refused by guest";
    case FlowCause::withdrawn:
      return "withdrawn";
    case FlowCause::host_failed:
      return "host failed";
  }
  return "";
}

void append_line(std::string& out, const Record& record, std::chrono::nanoseconds epoch) {
  const FlowEvent& event = record.event;
  append_time(out, epoch + event.at.time_since_epoch());
  append_text(out, "event", to_string(event.kind));
  if (event.id != 0) append_number(out, "id", event.id);
  append_text(out, "protocol", to_string(event.protocol));
  const bool question = event.protocol == FlowProtocol::dns;
  if (!question && !event.others) out += event.inbound ? R"(,"inbound":true)" : R"(,"inbound":false)";
  if (event.loopback) out += R"(,"loopback":true)";
  if (event.forwarder) out += R"(,"forwarder":true)";
  if (event.audited) out += R"(,"audited":true)";
  append_address(out, "guest_addr", event.guest.address);
  append_number(out, "guest_port", event.guest.port);
  if (event.others) out += R"(,"others":true)";
  if (!question && !event.others) {
    append_address(out, "remote_addr", event.remote.address);
    append_number(out, "remote_port", event.remote.port);
  }
  if (!record.name.empty()) append_text(out, "name", record.name);
  if (!record.server_name.empty()) append_text(out, "server_name", record.server_name);
  if (event.kind != FlowEvent::Kind::opened) append_text(out, "reason", to_string(event.cause));
  if (event.kind == FlowEvent::Kind::ended) append_counts(out, event);
  out += "}\n";
}

void append_dropped(std::string& out, std::uint64_t count, std::chrono::nanoseconds since_1970) {
  append_time(out, since_1970);
  append_text(out, "event", "dropped");
  append_number(out, "count", count);
  out += "}\n";
}

}  // namespace sf::flowlog
