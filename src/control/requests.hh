// What the control socket is asked and answers: the text of one request in, the text of the reply out.
//
//     {"execute":"add_hostfwd","arguments":{"proto":"tcp","host_addr":"","host_port":8080,"guest_port":80}}
//     {"return":{"id":1}}        or        {"error":{"desc":"bad request: unknown execute"}}
//
// add_hostfwd, remove_hostfwd and list_hostfwd are slirp4netns's API, word for word; our own requests have
// the same form. In an error "desc" is what slirp4netns says (or, of our own requests, its like) and
// "reason", where more is known, the line for people. Members that are not known are ignored.
//
//     publish         {"port":"tcp/8080:80"}          {"ports":[{"id":1,"port":"tcp/8080:80",...}]}
//                     and "loopback":true to lead to the guest's own loopback
//     unpublish       {"id":1} or {"port":"8080:80"}  {"ports":[...]}: those that were taken away
//     list_published                                  {"ports":[...]}
//     list_flows      {"limit":100}                   {"total":2,"flows":[...]}: those with the most bytes
//                                                     first, and "uptime_us", when that was
//     policy                                          {"active":true,"rules":["allow …"],"refusals":3,
//                                                     "refused":[{"target":"tcp …","count":3}],…}
//     set_policy      {"name":"FILE","text":"…"}      the same, of the new one
//     insert_rule     {"action":"allow","rule":"…"}   the same
//     reset_policy                                    the same
//     capture         {"filter":"1\n6 0 0 262144"…,  instead of a reply: pcapng, until the client closes, or
//                      "snap_length":262144}          shuts down writing, which has it end in good order
//     statistics                                      what engine::Totals has, "drops" by reason, and the
//                                                     policy's "refusals" with the first ones "refused"
//     version                                         the version
//     info                                            what InstanceInfo has, and "ports" and "statistics"
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "control/instance.hh"

namespace sf::control {

inline constexpr std::size_t kMaxRequest = std::size_t{64} * 1024;
// A list of flows is made while packets wait: about a microsecond each.
inline constexpr std::size_t kMaxFlowsListed = 2048;
inline constexpr std::size_t kFlowsListed = 1024;  // without "limit"
inline constexpr std::size_t kRefusalsInStatistics = 10;

// Never throws, whatever `request` is. Where the reply goes on and on, it is empty, and `stream` has it;
// null: no such requests here.
[[nodiscard]] std::string answer(std::string_view request, Instance& instance,
                                 std::unique_ptr<Stream>* stream = nullptr);

// {"error":{"desc":"bad request: DESCRIPTION"}}
[[nodiscard]] std::string error_reply(std::string_view description);

}  // namespace sf::control
