// What the guest sends within one turn: it waits, and leaves together, each flow's in its order.
#include <map>

#include "unit/udp/udp_fixture.hh"

namespace sf::udp {
namespace {

using host::HostError;
using link::pattern;
using wire::IcmpError;

// Takes datagrams several at a time, up to the one with a size that it does not like.
class BatchHost : public host::ScriptedHost {
 public:
  host::DatagramsSent send_datagrams(host::SocketId socket,
                                     std::span<const host::OutgoingDatagram> datagrams) override {
    calls.push_back({socket, {}});
    host::DatagramsSent done;
    for (const host::OutgoingDatagram& one : datagrams) {
      const auto refusal = refused.find(one.payload.size());
      if (refusal != refused.end()) {
        done.error = refusal->second;
        break;
      }
      calls.back().second.push_back(copy(one.payload));
      ++done.count;
    }
    return done;
  }

  std::map<std::size_t, HostError> refused;
  std::vector<std::pair<host::SocketId, std::vector<OwnedBytes>>> calls;
};

class UdpGather : public UdpTest {
 protected:
  UdpGather() { translator_.may_wait_in(memory_); }
  void SetUp() override {
    flow_.guest = {guest(), kGuestPort};
    other_.guest = {guest(), 6000};
    for (Flow* flow : {&flow_, &other_}) {
      flow->guest_mac = kGuestMac;
      ASSERT_EQ(translator_.open(*flow, kToken, kStart), HostError::none);
    }
  }
  // As UdpTest::send, within the memory that stays.
  void gather(Flow& flow, const OwnedBytes& payload, std::uint16_t gso_size = 0) {
    OwnedBytes bytes(wire::kUdpHeaderSize + payload.size());
    Writer out(bytes);
    wire::UdpDatagram{flow.guest.port, kRemotePort, 0, {}}.emit(out, payload.size(), 0);
    out.bytes(payload);
    wire::IpHeader header;
    header.protocol = 17;
    const wire::IpPacket outside = guest_packet(header, bytes);
    std::copy(outside.whole.begin(), outside.whole.end(),
              memory_.begin() + static_cast<std::ptrdiff_t>(used_));
    const auto packet = wire::parse_ip(Bytes(memory_).subspan(used_, outside.whole.size()));
    ASSERT_TRUE(packet);
    used_ += outside.whole.size();
    const auto datagram = wire::UdpDatagram::parse(packet->payload);
    translator_.from_guest(flow, *packet, *datagram, remote(), gso_size, kStart);
  }

  BatchHost batch_host_;
  OwnedBytes memory_ = OwnedBytes(65536);
  std::size_t used_ = 0;
  Translator translator_{batch_host_, to_guest_, network_, admit_};
  Flow other_;
};

INSTANTIATE_TEST_SUITE_P(Version, UdpGather, testing::Bool(), version_name);

TEST_P(UdpGather, LeavesTogetherAtTheEndOfTheTurn) {
  for (std::size_t i = 0; i < 5; ++i) gather(flow_, pattern(100, i));
  EXPECT_TRUE(batch_host_.calls.empty());
  EXPECT_EQ(translator_.waiting(), 5U);
  EXPECT_EQ(translator_.counters().from_guest, 0U);
  translator_.flush(kStart);
  ASSERT_EQ(batch_host_.calls.size(), 1U);
  EXPECT_EQ(batch_host_.calls[0].first, flow_.socket);
  ASSERT_EQ(batch_host_.calls[0].second.size(), 5U);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(batch_host_.calls[0].second[i], pattern(100, i));
  EXPECT_EQ(translator_.counters().from_guest, 5U);
  EXPECT_EQ(translator_.counters().bytes_from_guest, 500U);
  EXPECT_EQ(flow_.bytes_from_guest, 500U);
  translator_.flush(kStart);
  EXPECT_EQ(batch_host_.calls.size(), 1U);
}

TEST_P(UdpGather, OneCallForEachSocketWhateverTheOrder) {
  for (std::size_t i = 0; i < 6; ++i) gather(i % 2 == 0 ? flow_ : other_, pattern(10 + i));
  translator_.flush(kStart);
  ASSERT_EQ(batch_host_.calls.size(), 2U);
  EXPECT_EQ(batch_host_.calls[0].second, (std::vector{pattern(10), pattern(12), pattern(14)}));
  EXPECT_EQ(batch_host_.calls[1].first, other_.socket);
  EXPECT_EQ(batch_host_.calls[1].second, (std::vector{pattern(11), pattern(13), pattern(15)}));
  EXPECT_EQ(other_.bytes_from_guest, 39U);
}

TEST_P(UdpGather, AnErrorConcernsItsOwnDatagramAlone) {
  batch_host_.refused[21] = HostError::net_unreachable;
  batch_host_.refused[22] = HostError::would_block;
  for (const std::size_t size : {20U, 21U, 22U, 22U, 23U}) gather(flow_, pattern(size));
  translator_.flush(kStart);
  std::vector<OwnedBytes> all;
  for (const auto& call : batch_host_.calls) all.insert(all.end(), call.second.begin(), call.second.end());
  EXPECT_EQ(all, (std::vector{pattern(20), pattern(23)}));
  EXPECT_EQ(translator_.counters().from_guest, 2U);
  EXPECT_EQ(translator_.counters().not_sent, 3U);
  ASSERT_EQ(link_.sent.size(), 1U);
  const SentError sent = to_guest_error(0);
  EXPECT_EQ(sent.error, IcmpError::net_unreachable);
  EXPECT_EQ(copy(wire::UdpDatagram::parse(sent.quoted.payload)->payload), pattern(21));
}

TEST_P(UdpGather, ASuperFrameGoesBehindWhatWaits) {
  gather(flow_, pattern(50));
  gather(flow_, pattern(300), 100);
  EXPECT_EQ(batch_host_.calls.size(), 1U);
  ASSERT_EQ(batch_host_.sent.size(), 1U);
  EXPECT_EQ(batch_host_.sent[0].options.segment_size, 100);
  EXPECT_EQ(translator_.waiting(), 0U);
}

// A reassembled datagram lies elsewhere, and is gone with the next one.
TEST_P(UdpGather, WhatDoesNotStayIsSentAtOnce) {
  gather(flow_, pattern(50));
  OwnedBytes bytes(wire::kUdpHeaderSize + 9);
  Writer out(bytes);
  wire::UdpDatagram{kGuestPort, kRemotePort, 0, {}}.emit(out, 9, 0);
  out.bytes(pattern(9));
  wire::IpHeader header;
  header.protocol = 17;
  const wire::IpPacket packet = guest_packet(header, bytes);
  translator_.from_guest(flow_, packet, *wire::UdpDatagram::parse(packet.payload), remote(), 0, kStart);
  ASSERT_EQ(batch_host_.calls.size(), 1U);
  EXPECT_EQ(batch_host_.calls[0].second, (std::vector<OwnedBytes>{pattern(50)}));
  ASSERT_EQ(batch_host_.sent.size(), 1U);
  EXPECT_EQ(batch_host_.sent[0].payload, pattern(9));
}

}  // namespace
}  // namespace sf::udp
