// The shards of this process and their threads.
//
//     one shard     it has the main loop, and the program stays a single thread
//     N shards      each has a thread with a loop, a queue of the TAP, sockets and a mailbox of its own. The
//                   main thread has a loop without a link: signals, the child inside, the control socket,
//                   loopback ports. It waits for shards where a request needs them, and they for nobody.
//
//     create() -- start() -- run() -- (main loop stopped, a shard's link gone or its loop failed) -- all
//     are stopped and joined
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/log.hh"
#include "base/result.hh"
#include "cli/shards.hh"
#include "engine/mailbox.hh"
#include "engine/place.hh"
#include "engine/shard.hh"
#include "flowlog/flow_log.hh"
#include "host/event_loop.hh"
#include "host/linux_host.hh"
#include "host/waker.hh"
#include "link/link.hh"
#include "link/pcap.hh"

namespace sf::cli {

// For hashes whose inputs a guest chooses.
[[nodiscard]] Result<SipKey> random_key();

class Workers final : public Shards {
 public:
  // A queue of the guest's device; `fd` is for the event loop.
  struct Device {
    std::unique_ptr<link::Link> link;
    int fd = -1;
  };
  struct Settings {
    engine::ShardConfig shard;  // as for one: limits are divided
    host::HostOptions host;
    std::string pcap_file;  // empty: none
    std::string interface_name;
    flowlog::FlowLog* flow_log = nullptr;  // with a feed for each shard
  };

  // One shard for each device. `log` outlives them.
  [[nodiscard]] static Result<std::unique_ptr<Workers>> create(std::vector<Device> devices,
                                                               const Settings& settings, const Log& log);
  ~Workers() override;

  // The main thread's.
  [[nodiscard]] host::EventLoop& loop() { return main_loop_ ? *main_loop_ : *workers_.front()->loop; }

  // Makes the threads, which wait for run(). After that no thread is made.
  [[nodiscard]] Result<void> start();
  // Moves packets until loop() is stopped, or the link is gone; then no thread is left.
  [[nodiscard]] Result<host::EventLoop::Ended> run();
  // Of all shards; not while they run.
  [[nodiscard]] engine::ShardStats stats() const;

  [[nodiscard]] unsigned count() const override { return static_cast<unsigned>(workers_.size()); }
  [[nodiscard]] unsigned udp_owner(std::uint16_t guest_port) const override {
    return group_.owners.of_udp(guest_port);
  }
  void visit_all(const Task& task) override;
  void visit(unsigned index, const std::function<void(engine::Shard&)>& task) override;

 private:
  struct Worker {
    std::unique_ptr<host::EventLoop> loop;
    Device device;
    std::unique_ptr<link::PcapTee> tee;
    std::unique_ptr<host::LinuxHost> host;
    std::optional<host::Waker> waker;
    std::unique_ptr<engine::Mailbox> mailbox;
    std::unique_ptr<engine::Shard> shard;
    std::thread thread;
    Result<host::EventLoop::Ended> ended{};
  };
  enum class Gate : std::uint8_t { shut, open, cancelled };

  explicit Workers(const Log& log) : log_(without_repetitions(log)) {}
  [[nodiscard]] Result<void> create_main_loop();
  [[nodiscard]] Result<void> create_worker(Device device, const Settings& settings, const Log& log);
  void live(Worker& worker);
  [[nodiscard]] bool wait_at_gate();
  void set_gate(Gate gate);
  void stop_and_join();
  // Posts `task` to workers from `first` to before `last`, and waits.
  void visit_some(unsigned first, unsigned last, const Task& task);

  Log log_;  // of the shards: what all of them meet is said once
  engine::Group group_;
  std::unique_ptr<host::EventLoop> main_loop_;  // with several threads
  std::optional<host::Waker> main_waker_;       // a shard has ended
  bool shard_ended_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  bool running_ = false;
  std::mutex mutex_;  // for the two below
  unsigned ready_ = 0;
  Gate gate_ = Gate::shut;
  std::condition_variable changed_;
};

}  // namespace sf::cli
