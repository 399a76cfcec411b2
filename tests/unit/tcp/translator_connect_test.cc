// Translator: how a flow begins, or does not.
#include "unit/tcp/translator_fixture.hh"
#include "wire/icmp.hh"

namespace sf::tcp {
namespace {

using host::HostError;
using testing::HasSubstr;
using testing::IsEmpty;

class TranslatorConnect : public TranslatorTest {
 protected:
  using TranslatorTest::TranslatorTest;
  // The last frame as an ICMP error about the guest's SYN.
  void expect_error_about_syn(wire::IcmpError expected) const {
    ASSERT_EQ(frames(), 1U);
    const auto packet = wire::parse_ip(base::drop(link_.sent[0].bytes, wire::kEthernetHeaderSize));
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->source, network_.gateway4);
    const auto message = wire::IcmpMessage::parse(packet->payload);
    ASSERT_TRUE(message);
    EXPECT_EQ(wire::icmp_error_from(message->type, message->code, true), expected);
    const auto quoted = wire::parse_quoted_ip(message->body);
    ASSERT_TRUE(quoted);
    EXPECT_EQ(quoted->source, guest_.address);
    EXPECT_EQ(quoted->destination, remote_.address);
    ASSERT_GE(quoted->payload.size(), 8U);
    EXPECT_EQ(load_be16(quoted->payload.data()), guest_.port);
    EXPECT_EQ(load_be16(quoted->payload.data() + 2), remote_.port);
    EXPECT_EQ(load_be32(quoted->payload.data() + 4), kIrs);
  }
  void expect_refused() const {
    ASSERT_EQ(frames(), 1U);
    EXPECT_TRUE(hear(0).flags.rst && hear(0).flags.ack);
    EXPECT_EQ(hear(0).ack, 0U);
  }
};

TEST_F(TranslatorConnect, TheSynAckComesWhenTheHostHasConnected) {
  connect();
  turn();
  EXPECT_EQ(socket().to, remote_);
  EXPECT_EQ(socket().token, 4711U);
  EXPECT_EQ(frames(), 0U);
  event({});
  turn();
  EXPECT_EQ(frames(), 0U) << "an event, but the outcome is not known";
  connected();
  turn();
  ASSERT_EQ(frames(), 1U);
  EXPECT_TRUE(hear(0).flags.syn && hear(0).flags.ack);
  EXPECT_EQ(hear(0).ack, 0U);
}

TEST_F(TranslatorConnect, ARefusedOneIsReset) {
  connect();
  socket().connected = HostError::refused;
  event({.writable = true, .error = true, .hang_up = true});
  expect_refused();
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
  EXPECT_EQ(translator_.counters().refused, 1U);
}

TEST_F(TranslatorConnect, AnUnreachableHostIsAnIcmpError) {
  connect();
  socket().connected = HostError::host_unreachable;
  event({.error = true});
  expect_error_about_syn(wire::IcmpError::host_unreachable);
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_F(TranslatorConnect, OneThatTimedOutAsWell) {
  connect();
  socket().connected = HostError::timed_out;
  event({.error = true});
  expect_error_about_syn(wire::IcmpError::host_unreachable);
}

TEST_F(TranslatorConnect, NoRouteIsKnownAtOnce) {
  host_.connect_error = HostError::net_unreachable;
  connect();
  expect_error_about_syn(wire::IcmpError::net_unreachable);
  EXPECT_TRUE(finished());
}

TEST_F(TranslatorConnect, AFirewallIsNamed) {
  host_.connect_error = HostError::prohibited;
  connect();
  expect_error_about_syn(wire::IcmpError::admin_prohibited);
}

TEST_F(TranslatorConnect, WithoutDescriptorsItIsRefused) {
  host_.connect_error = HostError::no_descriptors;
  connect();
  expect_refused();
  translator_.set_make_room([](Time) { return false; });
  link_.sent.clear();
  connect();
  expect_refused();
}

TEST_F(TranslatorConnect, WhereRoomCanBeMadeItIsTriedOnceMore) {
  int asked = 0;
  translator_.set_make_room([&](Time) {
    ++asked;
    host_.connect_error = HostError::none;
    return true;
  });
  host_.connect_error = HostError::no_descriptors;
  connect();
  EXPECT_EQ(asked, 1);
  connected();
  turn();
  EXPECT_TRUE(hear(0).flags.syn);
  EXPECT_EQ(host_.connects, 2);
}

TEST_F(TranslatorConnect, RoomIsMadeForNoOtherError) {
  translator_.set_make_room([](Time) {
    ADD_FAILURE();
    return true;
  });
  host_.connect_error = HostError::no_memory;
  connect();
  expect_refused();
}

TEST_F(TranslatorConnect, TheGuestMayGiveUpMeanwhile) {
  connect();
  guest({.rst = true});
  EXPECT_TRUE(finished());
  EXPECT_TRUE(socket().aborted);
  EXPECT_EQ(frames(), 0U);
  EXPECT_EQ(translator_.counters().resets_from_guest, 1U);
}

TEST_F(TranslatorConnect, AGuestThatNeverAnswersIsGivenUp) {
  connect();
  connected();
  turn();
  for (int i = 0; i < 20 && !finished(); ++i) pass(Translator::deadline(flow()) - now_);
  EXPECT_TRUE(finished());
  EXPECT_TRUE(socket().aborted);
  EXPECT_TRUE(heard_reset());
  EXPECT_EQ(translator_.counters().given_up, 1U);
}

TEST_F(TranslatorConnect, AHostThatResetsBeforeTheGuestHasAnswered) {
  connect();
  connected();
  turn();
  learn_iss();
  socket().receive_error = HostError::reset;
  event({.readable = true, .error = true, .hang_up = true});
  turn();
  EXPECT_FALSE(finished());
  guest({.window = 100});
  turn();
  EXPECT_TRUE(finished());
  EXPECT_TRUE(heard_reset());
}

TEST_F(TranslatorConnect, WhatTheHostSaysFirstWaitsForTheHandshake) {
  connect();
  connected();
  far_end(100);
  turn();
  ASSERT_EQ(frames(), 1U);
  learn_iss();
  link_.sent.clear();
  guest({.window = 100});
  turn();
  EXPECT_EQ(heard_bytes(), pattern(100));
}

// RFC 6528: other connections have other numbers, and the same one has a later one later.
TEST_F(TranslatorConnect, SequenceNumbersAreThoseOfTheConnection) {
  const auto first_sequence = [this](const Endpoint& guest, const Endpoint& remote, Time now) {
    Connection connection = translator_.accept(guest, remote, syn_, now);
    connection.host_connected(now);
    return connection.next(0, 1000, now)->header.sequence;
  };
  const std::uint32_t one = first_sequence(guest_, remote_, now_);
  EXPECT_EQ(first_sequence(guest_, remote_, now_), one);
  EXPECT_EQ(first_sequence(guest_, remote_, now_ + 4us), one + 1);
  EXPECT_EQ(first_sequence(guest_, remote_, now_ + 1s), one + 250'000);
  Endpoint other = guest_;
  ++other.port;
  EXPECT_NE(first_sequence(other, remote_, now_), one);
  other = remote_;
  ++other.port;
  EXPECT_NE(first_sequence(guest_, other, now_), one);
}

TEST_F(TranslatorConnect, OurMssIsWhatTheMtuLeaves) {
  network_.mtu = 1280;
  connect();
  EXPECT_EQ(flow().connection.segment_size(), 1240U);
}

// --- to the name servers

class TranslatorDns : public TranslatorConnect {
 protected:
  TranslatorDns() {
    host_.configured.servers = {{Address::v4(192, 0, 2, 1), 53}, {Address::v4(192, 0, 2, 2), 53}};
  }
};

TEST_F(TranslatorDns, TheFirstServer) {
  connect(true);
  EXPECT_EQ(socket().to, host_.configured.servers[0]);
  connected();
  turn();
  EXPECT_TRUE(hear(0).flags.syn);
  EXPECT_NE(Translator::deadline(flow()), now_ + Translator::kDnsConnectTimeout);
}

TEST_F(TranslatorDns, TheNextOneWhereTheFirstRefuses) {
  connect(true);
  socket().connected = HostError::refused;
  event({.error = true});
  EXPECT_EQ(host_.open_sockets(), 1U);
  EXPECT_EQ(socket().to, host_.configured.servers[1]);
  EXPECT_EQ(frames(), 0U);
  connected();
  turn();
  EXPECT_TRUE(hear(0).flags.syn);
}

TEST_F(TranslatorDns, TheNextOneWhereTheFirstIsSilent) {
  connect(true);
  EXPECT_EQ(Translator::deadline(flow()), now_ + Translator::kDnsConnectTimeout);
  pass(Translator::kDnsConnectTimeout);
  EXPECT_EQ(socket().to, host_.configured.servers[1]);
  EXPECT_EQ(host_.open_sockets(), 1U);
  EXPECT_EQ(Translator::deadline(flow()), now_ + Translator::kDnsConnectTimeout);
  pass(Translator::kDnsConnectTimeout);
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
  expect_error_about_syn(wire::IcmpError::host_unreachable);
}

// It has accepted, and says nothing.
TEST_F(TranslatorDns, TheNextOneHearsTheQuestionWhereTheFirstDoesNotAnswer) {
  connect(true);
  connected();
  turn();
  learn_iss();
  guest({.window = 100});
  guest({.length = 30});
  turn();
  EXPECT_EQ(socket().taken.size(), 30U);
  EXPECT_EQ(Translator::deadline(flow()), now_ + Translator::kDnsAnswerTimeout);
  pass(Translator::kDnsAnswerTimeout);
  EXPECT_EQ(host_.connects, 2);
  EXPECT_EQ(host_.open_sockets(), 2U) << "the first one may answer yet";
  EXPECT_EQ(socket().to, host_.configured.servers[1]);
  guest({.at = 30, .length = 5, .fin = true});
  turn();
  EXPECT_TRUE(socket().taken.empty()) << "not connected yet";
  connected();
  turn();
  const OwnedBytes all = pattern(35);
  EXPECT_EQ(OwnedBytes(socket().taken.begin(), socket().taken.end()), all);
  EXPECT_TRUE(socket().shut) << "and the guest's FIN";
  link_.sent.clear();
  far_end(50, true);
  turn();
  EXPECT_EQ(heard_bytes(), pattern(50));
  EXPECT_TRUE(heard_fin());
  EXPECT_TRUE(host_.sockets[0].closed) << "who answers is the one";
}

TEST_F(TranslatorDns, TheNextOneHearsTheQuestionWhereTheFirstEndsInstead) {
  for (const bool reset : {false, true}) {
    connect(true);
    connected();
    turn();
    learn_iss();
    guest({.window = 100});
    guest({.length = 30});
    if (reset) socket().receive_error = HostError::reset;
    far_end(0, !reset);
    turn();
    EXPECT_EQ(socket().to, host_.configured.servers[1]);
    socket().takes = 10;
    connected();
    socket().takes = host::StreamHost::kAll;
    event({.writable = true});
    EXPECT_EQ(socket().taken.size(), 30U);
    translator_.abort(flow());
    link_.sent.clear();
    iss_ = 0;
  }
}

TEST_F(TranslatorDns, TheGuestsFinWaitsForWhatIsSaidAgain) {
  connect(true);
  connected();
  turn();
  learn_iss();
  guest({.window = 100});
  guest({.length = 30});
  turn();
  pass(Translator::kDnsAnswerTimeout);
  socket().takes = 10;
  connected();
  guest({.at = 30, .fin = true});
  turn();
  EXPECT_EQ(socket().taken.size(), 10U);
  EXPECT_FALSE(socket().shut);
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  EXPECT_EQ(socket().taken.size(), 30U);
  EXPECT_TRUE(socket().shut);
}

TEST_F(TranslatorDns, AnAnswerThatHasBegunStaysWithItsServer) {
  connect(true);
  connected();
  turn();
  learn_iss();
  guest({.window = 100});
  guest({.length = 30});
  far_end(1);
  turn();
  guest({.at = 30, .ack = 1, .length = 30});
  turn();
  pass(Translator::kDnsAnswerTimeout + 1s);
  EXPECT_EQ(host_.connects, 1);
  EXPECT_FALSE(finished());
}

TEST_F(TranslatorDns, TheLastOneIsWaitedFor) {
  host_.configured.servers.resize(1);
  connect(true);
  connected();
  turn();
  learn_iss();
  guest({.window = 100});
  guest({.length = 30});
  turn();
  pass(Translator::kDnsAnswerTimeout + 1s);
  EXPECT_EQ(host_.connects, 1);
  EXPECT_FALSE(finished());
}

TEST_F(TranslatorDns, AQuestionThatIsTooLongStaysWithItsServer) {
  connect(true);
  connected();
  turn();
  learn_iss();
  guest({.window = 100});
  for (std::uint32_t at = 0; at < 5000; at += 1000) guest({.at = at, .length = 1000});
  turn();
  EXPECT_EQ(socket().taken.size(), 5000U);
  pass(Translator::kDnsAnswerTimeout + 1s);
  EXPECT_EQ(host_.connects, 1);
}

TEST_F(TranslatorDns, ALateEventOfTheFirstIsNotTheSeconds) {
  connect(true);
  pass(Translator::kDnsConnectTimeout);
  event({.writable = true, .error = true});
  EXPECT_FALSE(finished());
  EXPECT_EQ(host_.connects, 2);
}

TEST_F(TranslatorDns, AllRefuse) {
  connect(true);
  for (int i = 0; i < 2; ++i) {
    socket().connected = HostError::refused;
    event({.error = true});
  }
  expect_refused();
  EXPECT_TRUE(finished());
}

TEST_F(TranslatorDns, NoneCanBeReachedAtAll) {
  host_.connect_error = HostError::net_unreachable;
  connect(true);
  EXPECT_EQ(host_.connects, 2);
  expect_error_about_syn(wire::IcmpError::net_unreachable);
}

TEST_F(TranslatorDns, NoServersNoConnection) {
  host_.configured.servers.clear();
  connect(true);
  EXPECT_EQ(host_.connects, 0);
  expect_refused();
}

TEST_F(TranslatorDns, TheListMayGetShorterMeanwhile) {
  connect(true);
  host_.configured.servers.clear();
  pass(Translator::kDnsConnectTimeout);
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

// --- segments of no flow

TEST_F(TranslatorConnect, ASegmentOfNoFlowIsReset) {
  wire::TcpSegment stray;
  stray.source_port = guest_.port;
  stray.destination_port = remote_.port;
  stray.sequence = 1000;
  stray.acknowledgment = 77;
  stray.flags.ack = true;
  translator_.refuse_segment(kGuestMac, guest_, remote_, stray);
  ASSERT_EQ(frames(), 1U);
  EXPECT_TRUE(hear(0).flags.rst);
  EXPECT_FALSE(hear(0).flags.ack);
  EXPECT_EQ(hear(0).at, 76U) << "its ACK";

  link_.sent.clear();
  stray.flags = {};
  stray.flags.syn = true;
  stray.flags.fin = true;
  translator_.refuse_segment(kGuestMac, guest_, remote_, stray);
  ASSERT_EQ(frames(), 1U);
  EXPECT_TRUE(hear(0).flags.rst && hear(0).flags.ack);
  EXPECT_EQ(hear(0).ack + kIrs + 1, 1002U);

  link_.sent.clear();
  stray.flags.rst = true;
  translator_.refuse_segment(kGuestMac, guest_, remote_, stray);
  EXPECT_EQ(frames(), 0U) << "never a RST for a RST";
}

struct OfferedMss : TranslatorConnect {
  explicit OfferedMss(link::Features features = link::kAllFeatures) : TranslatorConnect(256, features) {
    network_.mtu = 65520;
    syn_.options.mss = std::uint16_t{65480};
  }
  std::uint32_t offered() {
    connect();
    connected();
    turn();
    if (link_.sent.empty()) return 0;
    const auto packet = wire::parse_ip(base::drop(link_.sent[0].bytes, wire::kEthernetHeaderSize));
    const auto segment = wire::TcpSegment::parse(packet->payload);
    return segment->options.mss.value_or(0);
  }
};
struct OfferedMssWithoutOffloads : OfferedMss {
  OfferedMssWithoutOffloads() : OfferedMss(link::Features{}) {}
};

TEST_F(OfferedMss, IsSmallWhereSuperFramesComeWhole) {
  EXPECT_EQ(offered(), Translator::kOfferedMss);
  EXPECT_EQ(flow().connection.segment_size(), 65480U) << "what we send is as large as the guest takes it";
}

TEST_F(OfferedMssWithoutOffloads, IsWhatTheMtuLeaves) {
  EXPECT_EQ(offered(), 65480U);
}

}  // namespace
}  // namespace sf::tcp
