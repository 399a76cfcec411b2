// Which of the host's name servers a connection to the DNS forwarder leads to: the part of tcp::Translator
// that goes from one to the next.
//
//     connecting ──(refused, 3 s)──────────────────────> the next one
//     connected, asked ──(ends without an answer)──────> the next one, which hears all that was said
//                      ──(silent for 3 s)── set aside ─> the next one; who answers first is the one
//     none is left ──(one was set aside)── that one goes on
//                  └──────────────────── the guest is told
#include <utility>

#include "tcp/translator.hh"

namespace sf::tcp {

using host::HostError;

void Translator::connect_next_server(Flow& flow, HostError why, Time now) {
  leave_server(flow, why);
  const auto& servers = host_.resolvers(now).servers;
  ++flow.dns_server;
  if (flow.dns_server >= servers.size()) {
    flow.connect_deadline = kNever;
    if (flow.replay != nullptr && flow.replay->silent.socket != host::kNoSocket)
      return return_to_silent(flow);
    flow.dns = false;
    connect_failed(flow, why, now);
    return;
  }
  if (flow.connection.phase() != Connection::Phase::connecting) {
    // The guest is connected, and has asked: the next server hears what this one has heard.
    flow.host_connecting = true;
    flow.host_writable = flow.host_readable = flow.host_closing = flow.send_shut = false;
    flow.replay->again = flow.replay->sent.size();
  }
  flow.connect_deadline = now + kDnsConnectTimeout;
  connect_to(flow, servers[flow.dns_server], now);
}

// The present one is done with, or set aside where it may still answer.
void Translator::leave_server(Flow& flow, HostError why) {
  if (flow.socket == host::kNoSocket) return;
  const bool connected = flow.connection.phase() != Connection::Phase::connecting && !flow.host_connecting;
  const bool may_answer = why == HostError::timed_out && connected && flow.replay != nullptr;
  if (may_answer && flow.replay->silent.socket == host::kNoSocket) {
    flow.replay->silent = {.socket = flow.socket,
                           .heard = flow.replay->sent.size() - flow.replay->again,
                           .send_shut = flow.send_shut,
                           .readable = true};
  } else {
    host_.close(flow.socket);
  }
  flow.socket = host::kNoSocket;
}

// What was set aside becomes the present one.
void Translator::return_to_silent(Flow& flow) {
  const Replay::Silent silent = std::exchange(flow.replay->silent, {});
  flow.socket = silent.socket;
  flow.send_shut = silent.send_shut;
  flow.replay->again = flow.replay->sent.size() - silent.heard;
  flow.host_connecting = flow.host_closing = false;
  flow.host_writable = flow.host_readable = true;  // trying tells
  drain_to_host(flow);
  update_window(flow);
}

// What the one that was set aside has to say, if anything: then it is the present one.
host::IoResult Translator::hear_silent(Flow& flow, std::span<const MutBytes> into) {
  if (flow.replay == nullptr || !std::exchange(flow.replay->silent.readable, false)) return {};
  const host::IoResult result = host_.receive(flow.replay->silent.socket, into);
  if (result.bytes > 0) {
    if (flow.socket != host::kNoSocket) host_.close(flow.socket);
    return_to_silent(flow);
  } else if (result.error != HostError::would_block) {
    host_.close(std::exchange(flow.replay->silent, {}).socket);
  }
  return result;
}

bool Translator::has_next_server(const Flow& flow, Time now) {
  return flow.replay != nullptr && !flow.replay->decided &&
         flow.dns_server + 1U < host_.resolvers(now).servers.size();
}

// To hear what the present one has not answered.
bool Translator::has_other_server(const Flow& flow, Time now) {
  if (flow.replay == nullptr || flow.replay->sent.empty()) return false;
  return flow.replay->silent.socket != host::kNoSocket || has_next_server(flow, now);
}

// A server that has accepted the connection may be as silent as one that has not.
void Translator::await_answer(Flow& flow, Time now) {
  if (flow.replay == nullptr || flow.host_connecting || flow.connect_deadline != kNever) return;
  if (!flow.replay->sent.empty() && has_next_server(flow, now))
    flow.connect_deadline = now + kDnsAnswerTimeout;
}

// The present server is the one.
void Translator::decide_server(Flow& flow) {
  flow.connect_deadline = kNever;
  flow.replay->decided = true;
  if (flow.replay->silent.socket != host::kNoSocket)
    host_.close(std::exchange(flow.replay->silent, {}).socket);
  if (flow.replay->again == 0) flow.replay.reset();
}

void Translator::remember(Flow& flow, std::span<const Bytes> parts, std::size_t bytes) {
  if (flow.replay == nullptr) return;
  std::vector<std::uint8_t>& sent = flow.replay->sent;
  if (sent.size() + bytes > Replay::kMost) return decide_server(flow);
  for (const Bytes part : parts) {
    const Bytes taken = take(part, bytes);
    sent.insert(sent.end(), taken.begin(), taken.end());
    bytes -= taken.size();
  }
}

// False: the server has not taken all of it yet.
bool Translator::say_again(Flow& flow) {
  if (flow.replay == nullptr || flow.replay->again == 0) return true;
  const Bytes rest[] = {Bytes{flow.replay->sent}.last(flow.replay->again)};
  const host::IoResult result = host_.send(flow.socket, rest);
  flow.replay->again -= result.bytes;
  if (flow.replay->again == 0) {
    if (flow.replay->decided) flow.replay.reset();
    return true;
  }
  // Where it fails, reading will tell, and the next one is asked.
  flow.host_writable = false;
  if (result.error != HostError::none && result.error != HostError::would_block) {
    flow.host_readable = flow.host_closing = true;
  }
  return false;
}

}  // namespace sf::tcp
