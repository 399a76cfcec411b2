// The flows of a datagram protocol (UDP, ICMP echo) of a shard: one for each address and port, or identifier,
// of the guest's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/flow_peers.hh"
#include "engine/flow_table.hh"
#include "engine/timer_heap.hh"
#include "engine/token.hh"

namespace sf::engine {

// `Translator` has open(flow, token, …), on_readable, on_error, deadline and close for its `Flow`.
template <typename Translator, typename Flow>
class DatagramFlows {
 public:
  // `watch` may be null; else it outlives this.
  DatagramFlows(Translator& translator, TimerHeap& timers, SipKey key, TokenKind kind, std::size_t limit,
                FlowWatch* watch = nullptr)
      : translator_(translator), timers_(timers), table_(key), kind_(kind), limit_(limit), watch_(watch) {}

  // The flow of `guest`; nullptr where there is none.
  [[nodiscard]] Flow* find(const Endpoint& guest, const MacAddress& from) {
    Entry* entry = table_.get(table_.find(FlowKey{guest, {}}));
    if (entry == nullptr) return nullptr;
    entry->flow.guest_mac = from;
    return &entry->flow;
  }

  // The flow of `guest`, opened if need be; nullptr where it could not be, with `error` set: no_memory where
  // the table is full. `arguments` are for Translator::open().
  template <typename... Arguments>
  [[nodiscard]] Flow* find_or_open(const Endpoint& guest, const MacAddress& from, host::HostError& error,
                                   const Arguments&... arguments) {
    const FlowKey key{guest, {}};
    if (Flow* flow = find(guest, from); flow != nullptr) return flow;
    if (table_.size() >= limit_) {
      error = host::HostError::no_memory;
      return nullptr;
    }
    const Handle handle = table_.insert(key, guest);
    Entry& entry = table_.existing(handle);
    entry.flow.guest_mac = from;
    const host::Token token = make_token(kind_, handle);
    error = translator_.open(entry.flow, token, arguments...);
    if (error != host::HostError::none) {
      table_.erase(key);
      return nullptr;
    }
    if (watch_ != nullptr) {
      const FlowProtocol protocol = kind_ == TokenKind::udp ? FlowProtocol::udp : FlowProtocol::icmp;
      entry.flow.peers = std::make_unique<FlowPeers>(*watch_, protocol, guest);
    }
    timers_.set(entry.timer, Translator::deadline(entry.flow), token);
    return &entry.flow;
  }

  void on_host_event(Handle handle, host::Readiness readiness, Time now) {
    Entry* entry = table_.get(handle);
    if (entry == nullptr) return;
    if (readiness.error) translator_.on_error(entry->flow, now);
    if (readiness.readable && translator_.on_readable(entry->flow, now)) unfinished_.push_back(handle);
  }

  void on_timer(Handle handle, Time now) {
    Entry* entry = table_.get(handle);
    if (entry == nullptr) return;
    const Time deadline = Translator::deadline(entry->flow);
    if (deadline > now) {
      timers_.set(entry->timer, deadline, make_token(kind_, handle));
      return;
    }
    static_cast<void>(end(handle, FlowCause::idle, now));
  }

  // Since when a flow has had nothing to do; absent: it is gone.
  [[nodiscard]] std::optional<Time> idle_since(Handle handle) {
    const Entry* entry = table_.get(handle);
    return entry != nullptr ? std::optional(entry->flow.last_active) : std::nullopt;
  }
  template <typename Visitor>
  void for_each_idle(Visitor&& visit) {
    table_.for_each([&](Handle handle, Entry& entry) { visit(handle, entry.flow.last_active); });
  }
  template <typename Visitor>
  void for_each_handle(Visitor&& visit) {
    table_.for_each([&](Handle handle, const Entry& entry) { visit(handle, entry.flow); });
  }
  // Null: it is gone.
  [[nodiscard]] const Flow* get(Handle handle) {
    const Entry* entry = table_.get(handle);
    return entry != nullptr ? &entry->flow : nullptr;
  }
  // Ends a flow. False: it is gone.
  bool end(Handle handle, FlowCause cause, Time now) {
    Entry* entry = table_.get(handle);
    if (entry == nullptr) return false;
    timers_.remove(entry->timer);
    if (entry->flow.peers != nullptr) entry->flow.peers->end(cause, now);
    translator_.close(entry->flow);
    table_.erase(FlowKey{entry->flow.guest, {}});
    return true;
  }

  // Goes on with what the last turn's budget left over. True: more is left.
  [[nodiscard]] bool end_turn(Time now) {
    working_.swap(unfinished_);
    for (const Handle handle : working_) {
      Entry* entry = table_.get(handle);
      if (entry != nullptr && translator_.on_readable(entry->flow, now)) unfinished_.push_back(handle);
    }
    working_.clear();
    return !unfinished_.empty();
  }

  void close_all(Time now) {
    table_.for_each([this, now](Handle, Entry& entry) {
      if (entry.flow.peers != nullptr) entry.flow.peers->end(FlowCause::program_end, now);
      translator_.close(entry.flow);
    });
  }

  // There are as many as there may be.
  [[nodiscard]] bool full() const { return table_.size() >= limit_; }
  [[nodiscard]] std::size_t size() const { return table_.size(); }
  [[nodiscard]] std::size_t table_bytes() const { return table_.memory(); }
  template <typename Visitor>
  void for_each(Visitor&& visit) {
    table_.for_each([&](Handle, Entry& entry) { visit(entry.flow); });
  }

 private:
  struct Entry {
    explicit Entry(const Endpoint& guest) { flow.guest = guest; }
    [[nodiscard]] FlowKey flow_key() const { return {flow.guest, {}}; }

    Flow flow;
    Timer timer;
  };

  Translator& translator_;
  TimerHeap& timers_;
  FlowTable<Entry> table_;
  TokenKind kind_;
  std::size_t limit_;
  FlowWatch* watch_;
  std::vector<Handle> unfinished_;
  std::vector<Handle> working_;
};

}  // namespace sf::engine
