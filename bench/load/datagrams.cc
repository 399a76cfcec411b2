// The highest rate of datagrams of which less than 1 % is lost: doubled until too many are lost, then
// narrowed down, then held for longer. A rate counts as too high when it fails twice: what else the machine
// does is no reason.
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common.hh"
#include "flow.hh"

namespace sf::load {
namespace {

constexpr double kMaxLoss = 0.01;
constexpr double kFirstRate = 4000, kLastRate = 16e6;
constexpr std::int64_t kLookFor = 100 * kMillisecond, kNarrowFor = 150 * kMillisecond;

struct Trial {
  double rate = 0;  // datagrams per second that arrived
  double loss = 1;
  double offered = 0;
  bool asked_for = false;  // the sender kept up with the rate that was asked for
  [[nodiscard]] bool good() const { return loss < kMaxLoss && asked_for; }
};

class Datagrams {
 public:
  explicit Datagrams(const Options& options)
      : size_(static_cast<std::uint32_t>(options.number("size", 1400))),
        segments_(static_cast<std::uint32_t>(options.number("segments", 1))),
        from_server_(options.text("direction", "to") == "from"),
        hold_(static_cast<std::int64_t>(options.real("seconds", 0.5) * 1e9)),
        fixed_rate_(static_cast<std::uint64_t>(options.number("rate", 0))),
        receiver_(segments_ > 1) {
    const Address to(options.text("to"), segments_ > 1 ? kGsoFlowPort : kFlowPort);
    socket_ = flow_socket(to.family(), segments_ > 1);
    check(connect(socket_, to.get(), to.size), "connect a UDP socket");
    test_ = static_cast<std::uint32_t>(now()) | 1;
    sleep_exactly();
  }

  int run() {
    Trial best;
    if (fixed_rate_ != 0) {
      best = attempt(fixed_rate_, hold_);
    } else {
      best = search();
      if (!best.good()) give_up("1 % or more is lost at every rate");
    }
    std::printf("{\"rate\": %.0f, \"gbit\": %.4f, \"loss\": %.5f, \"offered\": %.0f, \"moved\": %llu}\n",
                best.rate, best.rate * size_ * 8 / 1e9, best.loss, best.offered,
                static_cast<unsigned long long>(moved_));
    return 0;
  }

 private:
  Trial search() {
    double low = kFirstRate / 8.0;
    double high = kFirstRate;
    while (high < kLastRate && twice(high, kLookFor).good()) {
      low = high;
      high *= 4;
    }
    for (int i = 0; i < 6 && high / low > 1.03; ++i) {
      const double middle = std::sqrt(low * high);
      (twice(middle, kNarrowFor).good() ? low : high) = middle;
    }
    Trial held;
    for (int i = 0; i < 8 && !held.good(); ++i, low *= 0.93) held = twice(low, hold_);
    return held;
  }

  Trial twice(double rate, std::int64_t duration) {
    const Trial first = attempt(static_cast<std::uint64_t>(rate), duration);
    return first.good() ? first : attempt(static_cast<std::uint64_t>(rate), duration);
  }

  Trial attempt(std::uint64_t rate, std::int64_t duration) {
    FlowHeader plan;
    plan.test = test_ += 2;
    plan.rate = rate;
    plan.duration = static_cast<std::uint64_t>(duration);
    plan.size = size_;
    plan.segments = segments_;
    return from_server_ ? receive(plan) : send(plan);
  }

  Trial send(const FlowHeader& plan) {
    const Sent sent = send_at_rate(socket_, {}, plan);
    stop_segmenting(socket_);
    sleep_until(now() + 20 * kMillisecond);  // what is on its way
    const FlowHeader report = ask(plan.test);
    moved_ += report.received;
    return judge(plan, sent.datagrams, report.received, sent.elapsed);
  }

  Trial receive(FlowHeader plan) {
    plan.kind = FlowKind::start;
    bool ended = false;
    const std::int64_t begin = now();
    std::int64_t asked = 0;
    std::int64_t heard = begin;
    while (!ended && now() < begin + static_cast<std::int64_t>(plan.duration) + kSecond) {
      if (receiver_.received(plan.test) == 0 && now() - asked > 50 * kMillisecond) {
        asked = now();
        if (::send(socket_, &plan, sizeof(plan), 0) < 0) fail("send a request");
      }
      const auto before = receiver_.total();
      take([&](const FlowHeader& header) {
        ended = header.kind == FlowKind::end && header.test == plan.test;
      });
      if (receiver_.total() != before) heard = now();
      if (receiver_.received(plan.test) != 0 && now() - heard > 300 * kMillisecond) break;
    }
    const auto received = receiver_.received(plan.test);
    const FlowHeader report = ask(plan.test);
    moved_ += received;
    return judge(plan, report.sent, received, static_cast<std::int64_t>(report.elapsed));
  }

  template <typename Other>
  void take(Other&& other) {
    pollfd readable{socket_, POLLIN, 0};
    if (poll(&readable, 1, 20) <= 0) return;
    receiver_.receive(socket_, [&](const FlowHeader& header, const Address&) { other(header); });
  }

  // What the server has counted.
  FlowHeader ask(std::uint32_t test) {
    FlowHeader question;
    question.kind = FlowKind::ask;
    question.test = test;
    FlowHeader found;
    found.test = 0;
    for (int i = 0; i < 40 && found.test != test; ++i) {
      if (::send(socket_, &question, sizeof(question), 0) < 0) fail("ask for a report");
      const std::int64_t until = now() + 50 * kMillisecond;
      while (found.test != test && now() < until) {
        take([&](const FlowHeader& header) {
          // A sender that is not done yet reports nothing sent.
          if (header.kind == FlowKind::report && header.test == test && (!from_server_ || header.sent != 0))
            found = header;
        });
      }
    }
    if (found.test != test) give_up("the server's report did not come");
    return found;
  }

  static Trial judge(const FlowHeader& plan, std::uint64_t sent, std::uint64_t received,
                     std::int64_t elapsed) {
    if (sent == 0 || elapsed <= 0) return {};
    const double seconds = static_cast<double>(elapsed) / 1e9;
    const double offered = static_cast<double>(sent) / seconds;
    return {static_cast<double>(received) / seconds,
            1 - static_cast<double>(received) / static_cast<double>(sent), offered,
            offered > 0.9 * static_cast<double>(plan.rate)};
  }

  std::uint32_t size_, segments_;
  bool from_server_;
  std::int64_t hold_;
  std::uint64_t fixed_rate_;
  FlowReceiver receiver_;
  int socket_ = -1;
  std::uint32_t test_ = 0;
  std::uint64_t moved_ = 0;
};

}  // namespace

int datagrams(const Options& options) {
  return Datagrams(options).run();
}

}  // namespace sf::load
