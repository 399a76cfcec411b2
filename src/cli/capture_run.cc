#include "cli/capture_run.hh"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/filter_compiler.hh"
#include "cli/printable.hh"
#include "cli/replies.hh"
#include "control/capture_client.hh"
#include "control/requests.hh"
#include "setup/signals.hh"

namespace sf::cli {
namespace {

using control::CaptureClient;

Outcome failed(const Error& error) {
  return {.errors = fmt::format("slirp-forwarder: {}\n", error.message), .status = kExitFailure};
}

Result<std::string> request_text(const ControlCommand& command) {
  nlohmann::json arguments{{"snap_length", command.snap_length}};
  if (!command.filter.empty()) {
    auto program = compile_filter(command.filter);
    if (!program) return tl::unexpected(program.error());
    arguments["filter"] = *std::move(program);
  }
  std::string text = nlohmann::json{{"execute", "capture"}, {"arguments", std::move(arguments)}}.dump();
  if (text.size() > control::kMaxRequest) {
    return fail("filter '{}': is {} bytes long when compiled, of which there may be {}; make it shorter",
                printable(command.filter), text.size(), control::kMaxRequest);
  }
  return text;
}

std::string counted(const CaptureClient::Summary& summary) {
  return fmt::format("slirp-forwarder: {} frame{} captured, {} dropped{}\n", summary.frames,
                     summary.frames == 1 ? "" : "s", summary.lost,
                     summary.end == CaptureClient::End::instance_gone ? "; the instance has ended" : "");
}

}  // namespace

// What can be wrong with what was asked for is found before anything begins, and the file is opened once the
// instance has agreed.
Outcome run_capture(const ControlCommand& command, const control::FoundInstance& instance) {
  const bool to_standard_output = command.file.empty() || command.file == "-";
  int out = -1;
  if (to_standard_output) {
    const auto standard = control::standard_output_for_recording();
    if (!standard) return failed(standard.error());
    out = *standard;
  }
  const auto text = request_text(command);
  if (!text) return failed(text.error());
  auto client = CaptureClient::ask(instance.path, *text);
  if (!client) return failed({printable(client.error().message)});
  if (!client->refusal().empty()) {
    return failed(read_refusal(fmt::format("instance {}", printable(instance.pid)), client->refusal()));
  }
  UniqueFd file;
  if (!to_standard_output) {
    auto opened = control::open_recording(command.file);
    if (!opened) return failed({printable(opened.error().message)});
    file = *std::move(opened);
    out = file.get();
  }
  static_cast<void>(setup::take_signals());
  const auto signals = setup::SignalSource::open();
  if (!signals) return failed(signals.error());
  const auto summary = client->copy(out, signals->fd(), command.count);
  if (!summary) return failed({printable(summary.error().message)});
  if (summary->end == CaptureClient::End::reader_gone) return {};
  return {.errors = counted(*summary)};
}

}  // namespace sf::cli
