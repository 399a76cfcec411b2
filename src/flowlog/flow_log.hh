// The flow log: takes what happens to flows from any number of threads, and has a thread of its own write it.
//
//     shard ── Feed ──┐                        (a bounded queue each)
//     shard ── Feed ──┼── writer thread ── Output
//     main  ── Feed ──┘    gathers for kGather, so that many records are one wake-up and one write
//
// Nobody who moves packets waits for the writer, nor for the disk or the reader behind it: what a full queue
// has no room for is counted, and a record says how many are missing. A full disk is tried again; a reader
// that has gone ends the log, never the traffic.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/flow_events.hh"
#include "base/log.hh"
#include "base/result.hh"
#include "base/siphash.hh"
#include "flowlog/output.hh"

namespace sf::flowlog {

struct Statistics {
  std::uint64_t written = 0;  // records
  std::uint64_t dropped = 0;
};

class FlowLog {
 public:
  static constexpr std::size_t kMaxQueued = 16384;  // records, of all feeds together
  static constexpr auto kGather = std::chrono::milliseconds(20);
  static constexpr auto kFinish = std::chrono::seconds(2);  // for what is left at the end

  struct Clocks {
    std::function<Time()> monotonic;  // the events'
    std::function<std::chrono::nanoseconds()> since_1970;
  };

  // A feed for each of `feeds` threads. `key` is random, for hashing and for
  // the first flow's number. What `log` writes to
  // outlives it.
  FlowLog(Output output, unsigned feeds, Clocks clocks, SipKey key, const Log& log,
          std::size_t max_queued = kMaxQueued);
  FlowLog(const FlowLog&) = delete;
  FlowLog& operator=(const FlowLog&) = delete;
  // Writes what is left, for up to kFinish, and tells what was lost. Nothing is fed any more.
  ~FlowLog();

  // Makes the thread, when everything is there that it must not be before. Until then records wait. Besides
  // the output it has standard error, which `log` may write to, and no other descriptor.
  [[nodiscard]] Result<void> start();
  // For one thread; outlived by the log.
  [[nodiscard]] FlowWatch& feed(unsigned index);
  // By any thread.
  [[nodiscard]] Statistics statistics() const;

 private:
  class Feed;
  struct Shared;

  std::shared_ptr<Shared> shared_;  // with the thread, which may be stuck in the kernel at the end
  std::vector<std::unique_ptr<Feed>> feeds_;
  std::thread thread_;
};

}  // namespace sf::flowlog
