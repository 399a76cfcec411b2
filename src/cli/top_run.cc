#include "cli/top_run.hh"

#include <fmt/format.h>

#include <memory>

#include "cli/options.hh"
#include "cli/printable.hh"
#include "cli/replies.hh"
#include "cli/screen.hh"
#include "cli/top_chooser.hh"
#include "cli/top_flows.hh"
#include "control/client.hh"
#include "setup/terminal.hh"

namespace sf::cli {
namespace {

using control::FoundInstance;

constexpr const char* kInfo = R"({"execute":"info"})";
// As many as an instance lists unasked: packets wait while it makes the list.
constexpr const char* kFlows = R"({"execute":"list_flows"})";
constexpr const char* kStatistics = R"({"execute":"statistics"})";

std::string name_of(const FoundInstance& instance) {
  return fmt::format("instance {}", printable(instance.pid));
}

template <typename Reply>
Result<Reply> ask(const FoundInstance& instance, const char* request,
                  Result<Reply> (*read)(std::string_view, std::string_view)) {
  const auto reply = control::request(instance.path, request, kTopTimeout);
  if (!reply) return tl::unexpected(reply.error());
  return read(name_of(instance), *reply);
}

bool has_ended(const FoundInstance& instance) {
  const control::Answers answers = control::probe(instance.path);
  return answers == control::Answers::refused || answers == control::Answers::absent;
}

Outcome failed(const Error& error) {
  return {.errors = fmt::format("slirp-forwarder: {}\n", printable(error.message)), .status = kExitFailure};
}

bool has_colours(const TopSettings& settings) {
  const std::string& term = settings.term;
  return !settings.no_color && !term.starts_with("vt") && !term.ends_with("-m") && !term.ends_with("-mono");
}

class Top {
 public:
  Top(setup::Terminal& terminal, const TopSettings& settings)
      : terminal_(terminal), screen_(has_colours(settings)), utf8_(settings.utf8) {}

  // Absent: nobody wants to see one.
  [[nodiscard]] std::optional<FoundInstance> choose(const std::vector<FoundInstance>& instances) {
    std::vector<ListedInstance> listed;
    std::vector<FoundInstance> there;
    std::vector<std::string> paths;
    paths.reserve(instances.size());
    for (const FoundInstance& one : instances) paths.push_back(one.path);
    // All at once: those that do not answer keep nobody before an empty screen for longer than one of them.
    const auto replies = control::request_all(paths, kInfo, kTopTimeout);
    for (std::size_t i = 0; i < instances.size(); ++i) {
      const FoundInstance& one = instances[i];
      if (!replies[i]) continue;
      auto info = read_info(name_of(one), *replies[i]);
      if (!info) continue;
      listed.push_back({one.pid, one.path, *std::move(info)});
      there.push_back(one);
    }
    TopChooser chooser(std::move(listed));
    draw(chooser);
    while (!chooser.chosen() && step(chooser)) {
    }
    if (!chooser.chosen() || *chooser.chosen() >= there.size()) return std::nullopt;
    return there[*chooser.chosen()];
  }

  [[nodiscard]] Outcome watch(const FoundInstance& instance) {
    const auto info = ask(instance, kInfo, read_info);
    if (!info) return failed(info.error());
    TopFlows page(fmt::format("slirp-forwarder {}", instance.pid), *info, utf8_);
    bool due = true;
    do {
      if (due && !update(page, instance)) {
        return {.out = fmt::format("slirp-forwarder: {} has ended\n", name_of(instance))};
      }
      if (due) draw(page);
      due = false;
    } while (step(page, &due));
    return {.status = status_};
  }

  [[nodiscard]] int status() const { return status_; }

 private:
  // False: it has ended.
  [[nodiscard]] static bool update(TopFlows& page, const FoundInstance& instance) {
    auto flows = ask(instance, kFlows, read_flows);
    const auto statistics = flows ? ask(instance, kStatistics, read_statistics)
                                  : Result<StatisticsReply>(tl::unexpected(flows.error()));
    if (statistics) {
      page.update(*std::move(flows), *statistics);
    } else if (has_ended(instance)) {
      return false;
    } else {
      page.complain(statistics.error().message);
    }
    return true;
  }

  void draw(TopPage& page) {
    if (terminal_.is_behind()) return;  // by the next time the line may have got through
    const setup::Terminal::Size size = terminal_.size();
    terminal_.write(screen_.draw(page.lines(size.rows, size.columns)));
  }

  // Waits for something to happen. False: it is over.
  [[nodiscard]] bool step(TopPage& page, bool* due = nullptr) {
    const setup::Terminal::Event event = terminal_.wait();
    if (due != nullptr) *due = event.due;
    if (event.ended_by != 0) {
      // Ctrl-C is how such programs are left.
      if (event.ended_by != kInterrupt) status_ = kSignalled + event.ended_by;
      return false;
    }
    if (event.hung_up) {
      status_ = kSignalled + kHangUp;
      return false;
    }
    typed_ += event.keys;
    for (const Key& key : take_keys(typed_)) page.on_key(key);
    if (page.quits()) return false;
    if (event.redraw) screen_.forget();
    if (event.redraw || !event.keys.empty()) draw(page);
    return true;
  }

  // The numbers of SIGHUP and SIGINT, as POSIX has them.
  static constexpr int kHangUp = 1;
  static constexpr int kInterrupt = 2;
  static constexpr int kSignalled = 128;

  setup::Terminal& terminal_;
  Screen screen_;
  bool utf8_;
  std::string typed_;
  int status_ = 0;
};

}  // namespace

Outcome run_top(const std::vector<FoundInstance>& instances, Duration interval, const TopSettings& settings) {
  if (!setup::Terminal::is_there()) {
    return failed(
        {"top: standard input and output are not a terminal; use slirp-forwarder flows --json, which prints "
         "once"});
  }
  if (settings.term.empty() || settings.term == "dumb" || settings.term == "unknown") {
    return failed({fmt::format("top: TERM is '{}', which has no cursor to move; use slirp-forwarder flows",
                               settings.term)});
  }
  auto terminal = setup::Terminal::open();
  if (!terminal) return failed(terminal.error());
  (*terminal)->enter(interval);
  Top top(**terminal, settings);
  const auto instance = instances.size() == 1 ? std::optional(instances.front()) : top.choose(instances);
  Outcome outcome = instance ? top.watch(*instance) : Outcome{.status = top.status()};
  (*terminal)->leave();
  return outcome;
}

}  // namespace sf::cli
