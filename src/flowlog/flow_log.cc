#include "flowlog/flow_log.hh"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <system_error>
#include <utility>

#include "flowlog/record.hh"
#include "flowlog/seen_names.hh"

namespace sf::flowlog {
namespace {

constexpr int kPatienceMs = 250;  // with a slow reader, before looking up again
constexpr auto kFullDiskRetry = std::chrono::seconds(1);
constexpr std::size_t kFirstText = 4096;
// Every reader of JSON takes whole numbers below this as they are (RFC 8259 section 6).
constexpr std::uint64_t kIds = std::uint64_t{1} << 53;

using Nanoseconds = std::chrono::nanoseconds;

// Its wake-ups do not take the CPU from whoever moves packets. Where that may not be, they do.
void yield_to_others() {
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_BATCH, &none);
}

}  // namespace

// What one thread has to say and the writer has not taken yet.
struct Queue {
  std::mutex mutex;
  std::vector<Record> records;
  std::uint64_t dropped = 0;
};

struct FlowLog::Shared {
  Shared(Output to, unsigned feeds, Clocks clock, SipKey key, const Log& about, std::size_t most)
      : output(std::move(to)),
        clocks(std::move(clock)),
        names(key),
        first_id(siphash(key, {}) % kIds),
        most_each(std::max<std::size_t>(1, most / feeds)),
        queues(feeds),
        log(about) {
    if (output.began_within_line()) text = '\n';
  }

  // --- the feeds' side
  void push(Queue& queue, const FlowEvent& event);
  void wake();

  // --- the writer's
  void run();
  [[nodiscard]] bool wait_for_records();
  [[nodiscard]] bool any_queued();
  void gather();
  void format(std::vector<Record>& records, std::uint64_t missing);
  void write_all();
  void stop_writing(int error);
  void complain_once(int error);
  void say(const std::string& what);
  [[nodiscard]] bool give_up();
  [[nodiscard]] std::uint64_t unwritten();

  Output output;
  Clocks clocks;
  SeenNames names;
  // Every run has its own, so that numbers in a file that several have written are not taken for each
  // other's.
  const std::uint64_t first_id;
  std::size_t most_each;
  std::vector<Queue> queues;
  std::atomic<bool> sleeping{false};
  std::atomic<bool> closed{false};  // nothing can be written any more
  std::atomic<std::uint64_t> written{0};
  std::atomic<std::uint64_t> dropped{0};

  // A copy, for a writer that is stuck in it when the program goes on without it.
  const Log log;

  std::mutex mutex;  // for what follows
  std::condition_variable changed;
  bool stopping = false;
  bool ready = false;   // the thread has begun
  bool over = false;    // and ended
  bool saying = false;  // it is at a message, which nobody may read
  bool silent = false;  // it must not begin another one: the program has gone on
  std::chrono::time_point<MonotonicClock> give_up_at = kNever;

  // The thread's own.
  std::string text;
  std::size_t text_done = 0;
  std::uint64_t text_records = 0;
  std::vector<Record> taken;
  std::vector<Record> all;
  Once no_room;
};

class FlowLog::Feed final : public FlowWatch {
 public:
  Feed(Shared& shared, unsigned index)
      : shared_(shared), queue_(shared.queues[index]), next_id_(shared.first_id + index) {}

  FlowNotes begin(const Address& remote, Time now) override {
    FlowNotes notes;
    notes.id = next_id_ % kIds + 1;
    next_id_ += shared_.queues.size();
    notes.opened = now;
    notes.name = shared_.names.find(remote);
    return notes;
  }
  void on_flow(const FlowEvent& event) override { shared_.push(queue_, event); }
  void on_dns_answer(Bytes answer) override { shared_.names.learn(answer); }
  std::string name_of(const Address& remote) const override { return shared_.names.find(remote); }

 private:
  Shared& shared_;
  Queue& queue_;
  std::uint64_t next_id_;
};

void FlowLog::Shared::push(Queue& queue, const FlowEvent& event) {
  if (closed.load(std::memory_order_relaxed)) {
    ++dropped;
    return;
  }
  {
    const std::scoped_lock lock(queue.mutex);
    if (queue.records.size() >= most_each) {
      ++queue.dropped;
      ++dropped;
      return;
    }
    queue.records.emplace_back(event);
  }
  if (sleeping.load()) wake();
}

void FlowLog::Shared::wake() {
  const std::scoped_lock lock(mutex);
  sleeping = false;
  changed.notify_all();
}

bool FlowLog::Shared::any_queued() {
  return std::ranges::any_of(queues, [](Queue& queue) {
    const std::scoped_lock lock(queue.mutex);
    return !queue.records.empty() || queue.dropped > 0;
  });
}

// False: this is the end, and all has been taken.
bool FlowLog::Shared::wait_for_records() {
  std::unique_lock lock(mutex);
  sleeping = true;
  // Whoever has pushed before `sleeping` was seen is seen here.
  if (!any_queued()) changed.wait(lock, [this] { return stopping || !sleeping; });
  sleeping = false;
  if (!stopping) changed.wait_for(lock, kGather, [this] { return stopping; });
  return !stopping || any_queued();
}

void FlowLog::Shared::gather() {
  std::uint64_t missing = 0;
  all.clear();
  for (Queue& queue : queues) {
    {
      const std::scoped_lock lock(queue.mutex);
      taken.swap(queue.records);
      missing += std::exchange(queue.dropped, 0);
    }
    std::ranges::move(taken, std::back_inserter(all));
    taken.clear();
  }
  format(all, missing);
}

void FlowLog::Shared::format(std::vector<Record>& records, std::uint64_t missing) {
  if (queues.size() > 1)
    std::ranges::stable_sort(records, {}, [](const Record& record) { return record.event.at; });
  const Nanoseconds now = clocks.since_1970();
  // Anew each time: the machine's clock may have been set.
  const Nanoseconds epoch = now - clocks.monotonic().time_since_epoch();
  for (const Record& record : records) append_line(text, record, epoch);
  if (missing > 0) append_dropped(text, missing, now);
  text_records += records.size();
}

bool FlowLog::Shared::give_up() {
  const std::scoped_lock lock(mutex);
  return stopping && clocks.monotonic() >= give_up_at;
}

// Without the lock: whoever reads messages may take none, and that holds up the writer alone.
void FlowLog::Shared::say(const std::string& what) {
  {
    const std::scoped_lock lock(mutex);
    if (silent) return;
    saying = true;
  }
  log.error("{}", what);
  const std::scoped_lock lock(mutex);
  saying = false;
}

void FlowLog::Shared::complain_once(int error) {
  if (!no_room.first()) return;
  say(
      fmt::format("writing the flow log {} failed: {}; it is tried again every second, and records that have "
                  "no place are counted: free some space",
                  output.name(), std::strerror(error)));
}

void FlowLog::Shared::stop_writing(int error) {
  closed = true;
  const char* why = error == EPIPE ? "its reader has gone" : std::strerror(error);
  say(fmt::format("writing the flow log {} has stopped: {}; the network goes on, start again for a new log",
                  output.name(), why));
}

void FlowLog::Shared::write_all() {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  while (text_done < text.size() && !closed && !give_up()) {
    const auto result = output.write(Bytes(bytes, text.size()).subspan(text_done), kPatienceMs);
    text_done += result.bytes;
    if (result.outcome == Output::Outcome::gone) stop_writing(result.error);
    if (result.outcome != Output::Outcome::no_room) continue;
    complain_once(result.error);
    std::unique_lock lock(mutex);
    if (stopping) break;
    changed.wait_for(lock, kFullDiskRetry, [this] { return stopping; });
  }
  if (text_done < text.size()) {
    // How many lines have not left as a whole.
    const auto lost = static_cast<std::uint64_t>(
        std::count(text.begin() + static_cast<std::ptrdiff_t>(text_done), text.end(), '\n'));
    const std::uint64_t missing = std::min(lost, text_records);
    dropped += missing;
    text_records -= missing;
  }
  written += text_records;
  const bool within_line = text_done > 0 && text[text_done - 1] != '\n';
  text.clear();
  if (within_line) text = '\n';
  text_done = 0;
  text_records = 0;
}

void FlowLog::Shared::run() {
  // What the C library asks of the system for a thread's first steps is not allowed later.
  static_cast<void>(::pthread_setname_np(::pthread_self(), "flow-log"));
  output.leave_other_descriptors();
  yield_to_others();
  text.reserve(kFirstText);
  {
    const std::scoped_lock lock(mutex);
    ready = true;
    changed.notify_all();
  }
  while (wait_for_records()) {
    gather();
    write_all();
  }
  const std::scoped_lock lock(mutex);
  over = true;
  changed.notify_all();
}

std::uint64_t FlowLog::Shared::unwritten() {
  std::uint64_t count = 0;
  for (Queue& queue : queues) {
    const std::scoped_lock lock(queue.mutex);
    count += queue.records.size();
  }
  return count;
}

FlowLog::FlowLog(Output output, unsigned feeds, Clocks clocks, SipKey key, const Log& log,
                 std::size_t max_queued)
    : shared_(std::make_shared<Shared>(std::move(output), feeds, std::move(clocks), key, log, max_queued)) {
  for (unsigned index = 0; index < feeds; ++index) feeds_.push_back(std::make_unique<Feed>(*shared_, index));
}

FlowWatch& FlowLog::feed(unsigned index) {
  return *feeds_.at(index);
}

Statistics FlowLog::statistics() const {
  return {shared_->written, shared_->dropped};
}

Result<void> FlowLog::start() {
  // A signal about the file (SIGXFSZ) or the pipe would end the program; and those for it are not this
  // thread's.
  sigset_t every{};
  sigset_t before{};
  sigfillset(&every);
  ::pthread_sigmask(SIG_SETMASK, &every, &before);
  Result<void> started;
  try {
    thread_ = std::thread([shared = shared_] { shared->run(); });
  } catch (const std::system_error& error) {
    started =
        fail("cannot start the thread that writes the flow log: {}; raise the limit of processes (ulimit -u)",
             error.what());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::unique_lock lock(shared_->mutex);
  if (started) shared_->changed.wait(lock, [this] { return shared_->ready; });
  return started;
}

FlowLog::~FlowLog() {
  if (!thread_.joinable()) return;
  Shared& shared = *shared_;
  bool over = false;
  bool heard = false;  // messages are
  {
    std::unique_lock lock(shared.mutex);
    shared.stopping = true;
    shared.give_up_at = shared.clocks.monotonic() + kFinish;
    shared.changed.notify_all();
    // A little longer than the thread has: it may only just have looked.
    over = shared.changed.wait_for(lock, kFinish + std::chrono::seconds(1), [&] { return shared.over; });
    shared.silent = true;
    heard = !shared.saying;
  }
  if (!over) {
    shared.dropped += shared.unwritten();
    const std::uint64_t lost = shared.dropped;
    if (heard) {
      shared.log.warning("the flow log {}: {} records were lost, and the reader takes nothing",
                         shared.output.name(), lost);
    }
    thread_.detach();
    return;
  }
  thread_.join();
  const std::uint64_t lost = shared.dropped;
  if (lost > 0) {
    shared.log.warning("the flow log {}: {} records were lost: the disk or the reader was too slow, or gone",
                       shared.output.name(), lost);
  }
}

}  // namespace sf::flowlog
