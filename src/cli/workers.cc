#include "cli/workers.hh"

#include <pthread.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace sf::cli {
namespace {

// Of the main loop, where packets are others' business. It lives until a shard has ended; whoever stops the
// loop in the same turn has the say.
class NoPackets final : public host::Reactor {
 public:
  explicit NoPackets(const bool& shard_ended) : shard_ended_(shard_ended) {}
  void on_link_readable(Time) override {}
  void on_socket_event(host::Token, host::Readiness, Time) override {}
  Time end_turn(Time) override { return kNever; }
  bool alive() const override { return !shard_ended_; }

 private:
  const bool& shard_ended_;
};

// How many errands are not over yet. They are over when they have run, or when nobody will run them.
class Outstanding {
 public:
  explicit Outstanding(unsigned count) : left_(count) {}
  void one_less() {
    const std::scoped_lock lock(mutex_);
    if (--left_ == 0) none_.notify_one();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return left_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  unsigned left_;
};

}  // namespace

Result<SipKey> random_key() {
  SipKey key;
  if (getrandom(&key, sizeof key, 0) != ssize_t{sizeof key}) {
    return fail("reading random numbers failed: {}; the kernel has to have getrandom(2)",
                std::strerror(errno));
  }
  return key;
}

Result<std::unique_ptr<Workers>> Workers::create(std::vector<Device> devices, const Settings& settings,
                                                 const Log& log) {
  std::unique_ptr<Workers> workers(new Workers(log));
  const auto count = static_cast<unsigned>(devices.size());
  const auto key = random_key();
  if (!key) return tl::unexpected(key.error());
  workers->group_.owners = engine::Owners(count, *key);
  if (count > 1) {
    if (auto made = workers->create_main_loop(); !made) return tl::unexpected(made.error());
  }
  for (Device& device : devices) {
    if (auto made = workers->create_worker(std::move(device), settings, log); !made)
      return tl::unexpected(made.error());
  }
  return workers;
}

Result<void> Workers::create_main_loop() {
  auto loop = host::EventLoop::create();
  if (!loop) return tl::unexpected(loop.error());
  main_loop_ = std::move(*loop);
  auto waker = host::Waker::create();
  if (!waker) return tl::unexpected(waker.error());
  main_waker_.emplace(std::move(*waker));
  return main_loop_->watch(main_waker_->fd(), [this] {
    main_waker_->reset();
    shard_ended_ = true;
  });
}

Result<void> Workers::create_worker(Device device, const Settings& settings, const Log& log) {
  const auto index = static_cast<unsigned>(workers_.size());
  workers_.push_back(std::make_unique<Worker>());
  Worker& worker = *workers_.back();
  worker.device = std::move(device);
  auto loop = host::EventLoop::create();
  if (!loop) return tl::unexpected(loop.error());
  worker.loop = std::move(*loop);
  link::Link* link = worker.device.link.get();
  if (!settings.pcap_file.empty()) {
    if (index == 0) {
      auto tee =
          link::PcapTee::create(*link, settings.pcap_file, settings.interface_name, host::unix_time, log);
      if (!tee) return tl::unexpected(tee.error());
      worker.tee = std::move(*tee);
    } else {
      worker.tee = workers_.front()->tee->also(*link);
    }
    link = worker.tee.get();
    worker.loop->at_turn_end([&worker] { worker.tee->flush(); });
  }
  host::HostOptions host = settings.host;
  host.log = &log_;  // what the kernel lacks is said once for all
  worker.host = std::make_unique<host::LinuxHost>(*worker.loop, std::move(host));
  const auto key = random_key();
  if (!key) return tl::unexpected(key.error());
  engine::ShardConfig config = settings.shard;
  config.key = *key;
  if (settings.flow_log != nullptr) config.watch = &settings.flow_log->feed(index);
  if (main_loop_ != nullptr) {
    config.limits = engine::divided(config.limits, group_.owners.count());
    config.place = {&group_, index};
    auto waker = host::Waker::create();
    if (!waker) return tl::unexpected(waker.error());
    worker.waker.emplace(std::move(*waker));
    worker.mailbox = std::make_unique<engine::Mailbox>([&worker] { worker.waker->wake(); });
    group_.mailboxes.push_back(worker.mailbox.get());
    auto watched = worker.loop->watch(worker.waker->fd(), [&worker] {
      worker.waker->reset();
      worker.shard->on_mail();
    });
    if (!watched) return watched;
  }
  worker.shard = std::make_unique<engine::Shard>(config, *link, *worker.host, log_);
  return {};
}

Workers::~Workers() {
  set_gate(Gate::cancelled);
  stop_and_join();
}

void Workers::set_gate(Gate gate) {
  const std::scoped_lock lock(mutex_);
  if (gate_ == Gate::shut) gate_ = gate;
  changed_.notify_all();
}

bool Workers::wait_at_gate() {
  // The first allocation gives a thread its heap, for which the C library asks things that are not allowed
  // later.
  static_cast<void>(std::make_unique<Outstanding>(0));
  std::unique_lock lock(mutex_);
  ++ready_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return gate_ != Gate::shut; });
  return gate_ == Gate::open;
}

Result<void> Workers::start() {
  if (main_loop_ == nullptr) return {};
  for (const auto& worker : workers_) {
    try {
      worker->thread = std::thread([this, &worker = *worker] { live(worker); });
    } catch (const std::system_error& error) {
      return fail("cannot start a thread: {}; raise the limit of processes (ulimit -u), or give --threads 1",
                  error.what());
    }
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ready_ == workers_.size(); });
  return {};
}

// The life of a shard's thread.
void Workers::live(Worker& worker) {
  static_cast<void>(::pthread_setname_np(::pthread_self(), "shard"));
  if (!wait_at_gate()) return;
  worker.ended = worker.loop->run(*worker.shard, worker.device.fd);
  worker.mailbox->close();
  main_waker_->wake();
}

void Workers::stop_and_join() {
  for (const auto& worker : workers_) {
    if (!worker->thread.joinable()) continue;
    worker->mailbox->post([loop = worker->loop.get()](engine::Shard&, Time) { loop->stop(0); });
  }
  for (const auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  // Each of them has said that it ends. Nobody is left to, and the main loop may go on.
  if (main_waker_) main_waker_->reset();
  running_ = false;
}

Result<host::EventLoop::Ended> Workers::run() {
  if (main_loop_ == nullptr) return loop().run(*workers_.front()->shard, workers_.front()->device.fd);
  running_ = true;
  set_gate(Gate::open);
  NoPackets reactor(shard_ended_);
  auto ended = main_loop_->run(reactor, -1);
  stop_and_join();
  if (!ended || !ended->link_gone) return ended;
  for (const auto& worker : workers_) {
    if (!worker->ended || worker->ended->link_gone) return worker->ended;
  }
  return ended;
}

Result<host::EventLoop::Ended> Workers::outlive_link() {
  const bool ended = false;
  NoPackets reactor(ended);
  for (const auto& worker : workers_) worker->shard->published().close_all();  // clients are refused
  loop().go_on();
  return loop().run(reactor, -1);
}

engine::ShardStats Workers::stats() const {
  engine::ShardStats sum;
  for (const auto& worker : workers_) {
    const engine::ShardStats part = worker->shard->stats();
    sum.frames_from_guest += part.frames_from_guest;
    for (std::size_t i = 0; i < sum.drops.size(); ++i) sum.drops[i] += part.drops[i];
    sum.pieces_in_use += part.pieces_in_use;
  }
  return sum;
}

void Workers::visit_all(const Task& task) {
  visit_some(0, count(), task);
}

void Workers::visit(unsigned index, const std::function<void(engine::Shard&)>& task) {
  visit_some(index, index + 1, [&task](unsigned, engine::Shard& shard) { task(shard); });
}

void Workers::visit_some(unsigned first, unsigned last, const Task& task) {
  if (!running_) {
    for (unsigned index = first; index < last; ++index) task(index, *workers_[index]->shard);
    return;
  }
  const auto outstanding = std::make_shared<Outstanding>(last - first);
  for (unsigned index = first; index < last; ++index) {
    // Goes with the last copy of the errand.
    const std::shared_ptr<void> over(nullptr, [outstanding](void*) { outstanding->one_less(); });
    workers_[index]->mailbox->post([over, index, &task](engine::Shard& shard, Time) { task(index, shard); });
  }
  outstanding->wait();
}

}  // namespace sf::cli
