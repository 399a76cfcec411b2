#include "setup/keeper.hh"

#include <poll.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>
#include <vector>

#include "setup/landlock.hh"
#include "setup/namespaces.hh"
#include "setup/posix.hh"
#include "setup/reaper.hh"
#include "setup/sandbox.hh"
#include "setup/seccomp.hh"
#include "setup/signals.hh"
#include "setup/system_calls.hh"

namespace sf::setup {
namespace {

constexpr int kGraceMs = 1000;  // for a child that is to end by itself

class Life {
 public:
  Life(pid_t child, const KeeperSettings& settings, const Channel& program, const Log& log)
      : child_(child), settings_(settings), program_(program), log_(log) {}

  int live();

 private:
  // False where the program is gone.
  bool obey();
  void confine();
  void tell_names();
  // Collects what has ended. True where the child is among it.
  bool collect();
  void end_child();
  void clean_up() const;

  pid_t child_;
  const KeeperSettings& settings_;
  const Channel& program_;
  const Log& log_;
  std::optional<SignalSource> children_;
  std::optional<int> status_;
  std::vector<KeptFile> files_;
  std::optional<MountedNamespace> mount_;
  bool sealed_ = false;
  std::optional<struct ::stat> seen_;
};

bool same(const struct ::stat& a, const struct ::stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

void Life::confine() {
  std::vector<LandlockRule> rules{{"/", -1, LandlockRule::Right::read}};
  const std::vector<int> folders = folders_of(files_);
  for (const int folder : folders) rules.push_back({"", folder, LandlockRule::Right::remove_files});
  const bool unmounts = !settings_.mount.empty();
  std::vector<int> kept{CAP_KILL, CAP_DAC_OVERRIDE};
  if (unmounts) kept.push_back(CAP_SYS_ADMIN);
  let_go_of_streams({});
  limit_resources();
  auto done = keep_capabilities(kept);
  become_opaque();
  if (done && !unmounts) restrict_files(rules, true, log_);
  AllowedCalls calls = library_calls();
  allow_all_of(calls, keeper_calls());
  allow_all_of(calls, removing_calls(folders));
  if (unmounts) allow_all_of(calls, unmounting_calls());
  if (done) done = install_filter(calls);
  if (!done) log_.debug("the keeper is not confined: {}", done.error().message);
}

void Life::tell_names() {
  // A file that is not there, or cannot be read, is as it was: a careless rewrite has a moment without one.
  struct ::stat now {};
  std::string text;
  if (::stat(settings_.resolv_conf.c_str(), &now) == 0 && S_ISREG(now.st_mode) &&
      !(seen_ && same(*seen_, now))) {
    if (const auto read = read_text(settings_.resolv_conf)) {
      seen_ = now;
      text = "=" + *read;
    }
  }
  static_cast<void>(program_.send(MessageKind::names, text));
}

bool Life::obey() {
  auto message = program_.receive();
  if (!message) return false;
  if (message->kind == MessageKind::names) tell_names();
  if (sealed_) return true;
  if (message->kind == MessageKind::keep) {
    if (auto file = KeptFile::from(std::move(*message))) files_.push_back(std::move(*file));
    return true;
  }
  if (message->kind == MessageKind::seal) {
    sealed_ = true;
    if (!settings_.mount.empty()) mount_ = MountedNamespace::on(settings_.mount);
    if (message->text == "confined") confine();
  }
  return true;
}

bool Life::collect() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL);
    if (pid <= 0) return status_.has_value();
    if (pid == child_) status_ = exit_status_of(status);
  }
}

// It sees the program's end as we do, and takes what it has started with it; if it can.
void Life::end_child() {
  if (settings_.kills_child) static_cast<void>(::kill(child_, SIGKILL));
  const int children = children_ ? children_->fd() : -1;
  pollfd ended{children, POLLIN, 0};
  std::array<char, 1024> events{};
  for (int waits = 0; !collect(); ++waits) {
    if (waits > 0) static_cast<void>(::kill(child_, SIGKILL));
    static_cast<void>(::poll(&ended, 1, kGraceMs));
    static_cast<void>(::read(children, events.data(), events.size()) < 0);
  }
}

void Life::clean_up() const {
  remove_files(files_);
  if (settings_.mount.empty()) return;
  // Before the program has said that all is there: none was mounted when it began.
  const int error = mount_ ? mount_->unmount() : unmount_namespace(settings_.mount);
  if (error != 0) {
    log_.warning("cannot unmount '{}': {}; remove it with: umount {}", settings_.mount, reason(error),
                 settings_.mount);
  }
}

int Life::live() {
  // What the terminal or a shell sends to the group is for others; so is the end by that.
  static_cast<void>(::setsid());
  sigset_t all;
  sigfillset(&all);
  static_cast<void>(::sigprocmask(SIG_BLOCK, &all, nullptr));
  if (auto children = SignalSource::open_for_children()) {
    children_ = *std::move(children);
  } else {
    log_.warning("{}", children.error().message);
  }
  const int children = children_ ? children_->fd() : -1;
  close_all_but({program_.fd(), children});
  bool over = collect();  // before the signal was watched for
  bool program_lives = true;
  std::array<char, 1024> events{};
  std::array<pollfd, 2> ready{{{program_.fd(), POLLIN, 0}, {children, POLLIN, 0}}};
  while (!over && program_lives) {
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) break;
    if (ready[1].revents != 0 && ::read(children, events.data(), events.size()) >= 0 && collect()) {
      ready[1].fd = -1;
      ready[1].revents = 0;
      end_descendants();
      static_cast<void>(program_.send(MessageKind::ended, std::to_string(*status_)));
      over = settings_.ends_with_child || *status_ != 0;
    }
    if (!over && ready[0].revents != 0) program_lives = obey();
  }
  if (!status_) end_child();
  end_descendants();
  clean_up();
  return *status_;
}

}  // namespace

void Keeper::seal(bool confined) const {
  static_cast<void>(channel_.send(MessageKind::seal, confined ? "confined" : ""));
}

std::optional<std::string> Keeper::changed_resolv_conf(std::uint64_t& seen) {
  const std::scoped_lock lock(*mutex_);
  if (channel_.fd() < 0) return std::nullopt;
  if (!asked_) asked_ = channel_.send(MessageKind::names);
  while (asked_ && is_readable(kAnswerMs)) {
    // The child's end is left to listen(), which the descriptor stays readable for.
    if (channel_.peek() != MessageKind::names) break;
    static_cast<void>(take());
  }
  if (std::exchange(seen, version_) == version_) return std::nullopt;
  return text_;
}

Keeper::Told Keeper::listen() {
  while (true) {
    static_cast<void>(is_readable(-1));
    const std::scoped_lock lock(*mutex_);
    if (is_readable(0)) return take();
  }
}

Keeper::Told Keeper::listen_now() {
  const std::scoped_lock lock(*mutex_);
  return is_readable(0) ? take() : Told{};
}

bool Keeper::is_readable(int timeout_ms) const {
  pollfd channel{channel_.fd(), POLLIN, 0};
  return ::poll(&channel, 1, timeout_ms) > 0;
}

Keeper::Told Keeper::take() {
  auto message = channel_.receive();
  if (!message) return {true, {}};
  if (message->kind == MessageKind::ended) {
    return {false, static_cast<int>(std::strtol(message->text.c_str(), nullptr, 10))};
  }
  if (message->kind == MessageKind::names) {
    asked_ = false;
    if (message->text.starts_with('=')) {
      text_ = message->text.substr(1);
      ++version_;
    }
  }
  return {};
}

int keep(pid_t child, const KeeperSettings& settings, const Channel& program, const Log& log) {
  return Life(child, settings, program, log).live();
}

}  // namespace sf::setup
