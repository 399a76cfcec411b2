// A whole shard fed with operations: see engine_driver.hh.
#include "engine_driver.hh"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sf;
  if (size > 8192) return 0;
  fuzz::Input in(Bytes{data, size});
  fuzz::EngineDriver driver(in);
  while (!in.empty()) driver.step();
  driver.finish();
  return 0;
}
