// The control socket's text: requests answered by an Instance without an engine, the end of a message found
// in pieces of any size, and replies from an instance that may say anything. The first byte says which.
#include <nlohmann/json.hpp>
#include <string>

#include "cli/documents.hh"
#include "cli/flow_rates.hh"
#include "cli/port_names.hh"
#include "cli/replies.hh"
#include "cli/tables.hh"
#include "control/bounded_json.hh"
#include "control/message_end.hh"
#include "control/requests.hh"
#include "input.hh"
#include "unit/control/fake_instance.hh"

namespace sf::fuzz {
namespace {

using nlohmann::json;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// Whatever its filter is, a capture ends, and stays within the frame.
void capture(control::FakeInstance& instance, control::Stream& stream, std::string_view text) {
  const Exact frame(Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  for (const std::size_t head : {frame.bytes().size(), frame.bytes().size() / 2}) {
    instance.captures.on_frame(std::array{take(frame.bytes(), head), drop(frame.bytes(), head)}, {},
                               link::Direction::to_guest);
  }
  stream.finish();
  std::vector<std::uint8_t> recording;
  stream.take(recording);
  require(recording.size() % 4 == 0 && recording.size() >= 100, "a recording is whole blocks");
}

// One request per line, to one instance.
void requests(std::string_view text) {
  control::FakeInstance instance;
  instance.live.resize(3);
  for (const std::string_view line : lines_of(text)) {
    std::unique_ptr<control::Stream> stream;
    const std::string reply = control::answer(line, instance, &stream);
    if (stream) {
      capture(instance, *stream, line);
      continue;
    }
    const json parsed = json::parse(reply, nullptr, false);
    require(parsed.is_object() && parsed.contains("return") != parsed.contains("error"),
            "a reply is neither a return nor an error");
    if (parsed.contains("error")) require(parsed["error"].contains("desc"), "an error without desc");
    require(!control::parse_bounded(reply).is_discarded(), "our own client does not read the reply");
  }
  require(instance.ports.size() <= 64 * control::kMaxRequest, "ports out of nowhere");
  const std::string info = control::answer(R"({"execute":"info"})", instance);
  require(cli::read_info("it", info).has_value(), "the answer to info does not read");
  const auto ports = cli::read_ports("it", control::answer(R"({"execute":"list_published"})", instance));
  require(ports && ports->size() == instance.ports.size(), "the list of published ports does not read");
}

void message_end(std::string_view text) {
  control::MessageEnd whole;
  const std::size_t taken = whole.feed(text);
  require(taken <= text.size() && (whole.done() || taken == text.size()), "more was taken than there is");
  control::MessageEnd pieces;
  std::size_t sum = 0;
  while (sum < text.size() && !pieces.done()) sum += pieces.feed(text.substr(sum, 1 + sum % 3));
  require(sum == taken && pieces.done() == whole.done(), "where a message ends depends on its pieces");
  const json value = control::parse_bounded(text);
  if (value.is_discarded()) return;
  const std::string dumped = value.dump(-1, ' ', false, json::error_handler_t::replace);
  require(!control::parse_bounded(dumped).is_discarded(), "JSON written and parsed again");
}

void require_printable(std::string_view text) {
  for (const char c : text)
    require(c == '\n' || static_cast<unsigned char>(c) >= 0x20, "a control character in a table");
}
void require_ascii_line(std::string_view document) {
  for (const char c : document) require(c >= 0x20 && c < 0x7f, "a document is one line of ASCII");
  require(!json::parse(document, nullptr, false).is_discarded(), "a document is no JSON");
}
std::string_view without_newline(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

void replies(std::string_view text) {
  const auto info = cli::read_info("it", text);
  if (info) {
    const std::vector<cli::ListedInstance> listed{{"1", "/run/x", *info}};
    require_printable(cli::instances_table(listed));
    require_ascii_line(without_newline(cli::instances_document(listed, {{"2", "/x", info->target}})));
  } else {
    require(!info.error().message.empty(), "an error without a word");
  }
  if (const auto ports = cli::read_ports("it", text)) {
    require_printable(cli::ports_table(*ports));
    require_printable(cli::port_lines(*ports));
    require_ascii_line(without_newline(cli::ports_document(*ports)));
    static_cast<void>(cli::find_ports(*ports, {"8080:80", "1"}));
  }
  if (const auto flows = cli::read_flows("it", text)) {
    const cli::FlowRows rows = cli::with_rates(*flows, *flows);
    require_printable(cli::flows_table(rows));
    require_ascii_line(without_newline(cli::flows_document(rows)));
  }
}

}  // namespace
}  // namespace sf::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sf;
  if (size == 0 || size > 8192) return 0;
  const fuzz::Exact exact(Bytes{data + 1, size - 1});
  const std::string_view text = fuzz::text_of(exact.bytes());
  if (data[0] % 3 == 0) fuzz::requests(text);
  if (data[0] % 3 == 1) fuzz::message_end(text);
  if (data[0] % 3 == 2) fuzz::replies(text);
  return 0;
}
