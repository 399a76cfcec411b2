// The TCP flows of a shard: from a segment to its flow, and which flows have something to send at the end of
// the turn.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "engine/flow_table.hh"
#include "engine/opening_budget.hh"
#include "engine/timer_heap.hh"
#include "engine/token.hh"
#include "tcp/translator.hh"

namespace sf::engine {

class TcpFlows {
 public:
  // `watch` may be null; else it outlives this.
  TcpFlows(tcp::Translator& translator, TimerHeap& timers, SipKey key, std::size_t limit,
           std::size_t half_open_limit, FlowWatch* watch = nullptr)
      : translator_(translator),
        timers_(timers),
        table_(key),
        limit_(limit),
        half_open_limit_(half_open_limit),
        watch_(watch),
        budget_(key) {}

  // Where a new flow would lead.
  struct Destination {
    Address address;
    bool dns = false;
    bool audited = false;  // a policy would have refused it
    std::unique_ptr<tcp::Inspector> inspector{};
  };
  // A segment of an existing flow. False: there is none, or the segment is a SYN that begins a new one in its
  // place.
  [[nodiscard]] bool on_segment(const FlowKey& key, const MacAddress& from, const wire::TcpSegment& segment,
                                Time now);
  // A SYN of no flow. In a flood it is lost, which costs little (OpeningBudget). Where too many are
  // half-open, the oldest of those is refused to make room: SYNs towards hosts that never answer take nothing
  // from connections that do. `full`: there is no room for another flow at all, and the guest was told.
  enum class Opened { yes, lost, full };
  [[nodiscard]] Opened open(const FlowKey& key, const MacAddress& from, const wire::TcpSegment& syn,
                            Destination to, Time now);
  // A client of a published port: sends a SYN to `key.guest`. False: there is no room, or such a flow
  // already; the client's socket was reset.
  [[nodiscard]] bool dial(const FlowKey& key, const MacAddress& to, host::SocketId client, host::Host& host,
                          Time now);
  // Some flow has this key, and dial() could not take its place.
  [[nodiscard]] bool taken(const FlowKey& key);
  // Of flows that dial(), how many the guest has not answered yet.
  [[nodiscard]] std::size_t dialling() const { return dialling_; }
  template <typename Visitor>
  void for_each(Visitor&& visit) {
    table_.for_each([&](Handle, Entry& entry) { visit(entry.flow, entry.inbound); });
  }
  // Of the remote end; empty where nobody keeps a record of flows.
  [[nodiscard]] std::string name_of(const FlowKey& key);
  [[nodiscard]] const tcp::Counters& counters() const { return translator_.counters(); }
  // Of a flow that holds a socket and moves nothing, since when; `unanswered`: one side has not answered yet.
  struct Idle {
    bool unanswered;
    Time since;
  };
  [[nodiscard]] std::optional<Idle> idle(Handle handle);
  template <typename Visitor>
  void for_each_idle(Visitor&& visit) {
    table_.for_each([&](Handle handle, Entry& entry) {
      if (const auto since = idle(entry)) visit(handle, *since);
    });
  }
  // Ends a flow that is there: resets both sides.
  void end(Handle handle, Time now);
  void on_host_event(Handle handle, host::Readiness readiness, Time now);
  void on_timer(Handle handle, Time now);
  // Sends what the turn has gathered. True: more is left for the next turn.
  [[nodiscard]] bool end_turn(Time now);
  void abort_all(Time now);

  [[nodiscard]] std::size_t size() const { return table_.size(); }
  // How many flows are in each state, as of the end of a turn.
  [[nodiscard]] const std::array<std::size_t, tcp::kStates>& by_state() const { return by_state_; }
  [[nodiscard]] std::size_t table_bytes() const { return table_.memory(); }

 private:
  struct Entry {
    Entry(const tcp::Connection& connection, const FlowKey& flow_key, const MacAddress& mac)
        : flow(connection, flow_key.guest, flow_key.remote, mac), key(flow_key) {}

    [[nodiscard]] const FlowKey& flow_key() const { return key; }

    tcp::Flow flow;
    FlowKey key;
    Timer timer;
    bool in_turn = false;
    bool half_open = true;
    OpeningBudget::Charge charge = OpeningBudget::Charge::none;  // to be given back once it is open
    bool inbound = false;
    bool dialling = false;
    tcp::State counted{};  // in by_state_
    bool forwarder =
        false;  // leads to the name servers (the translator gives flow.dns up with the last of them)
  };

  // It only waits for stray segments of the guest's.
  [[nodiscard]] static bool replaceable(const Entry& entry);
  [[nodiscard]] static std::optional<Idle> idle(const Entry& entry);
  void touch(Handle handle, Entry& entry);
  // Of a flow that somebody watches.
  void begin_notes(Entry& entry, Time now);
  void tell(Entry& entry, Time now);
  void tell(Entry& entry, FlowEvent::Kind kind, FlowCause cause, Time now);
  void tell_refused(const FlowKey& key, Time now);
  // Brings the books up to date after anything has happened to the flow; destroys it when it is finished.
  void settle(Handle handle, Entry& entry, Time now);
  void destroy(Entry& entry, Time now);
  void begin_counting(Entry& entry);
  void count_state(Entry& entry);
  void refuse_oldest_half_open(Time now);
  void note_half_open(Handle handle);

  tcp::Translator& translator_;
  TimerHeap& timers_;
  FlowTable<Entry> table_;
  std::size_t limit_;
  std::size_t half_open_limit_;
  FlowWatch* watch_;
  std::size_t half_open_ = 0;
  std::size_t dialling_ = 0;
  std::array<std::size_t, tcp::kStates> by_state_{};
  OpeningBudget budget_;
  std::deque<Handle> half_open_order_;  // oldest first; what is not half-open any more is passed over
  std::vector<Handle> turn_;
  std::vector<Handle> next_turn_;
};

}  // namespace sf::engine
