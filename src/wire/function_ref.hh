// A callable passed down the stack by reference: two words, no allocation, no ownership. The callable must
// outlive the call that it is passed to, which an argument always does.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace sf::wire {

template <typename Signature>
class FunctionRef;

template <typename Return, typename... Args>
class FunctionRef<Return(Args...)> {
 public:
  template <typename Callable>
    requires(!std::is_same_v<std::remove_cvref_t<Callable>, FunctionRef> &&
             std::is_object_v<std::remove_reference_t<Callable>> &&
             std::is_invocable_r_v<Return, Callable&, Args...>)
  // Implicit, so that a lambda can stand in the argument list. NOLINTNEXTLINE(google-explicit-constructor)
  constexpr FunctionRef(Callable&& callable)
      : object_(const_cast<void*>(static_cast<const volatile void*>(std::addressof(callable)))),
        call_([](void* object, Args... args) -> Return {
          return (*static_cast<std::remove_reference_t<Callable>*>(object))(std::forward<Args>(args)...);
        }) {}

  Return operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  Return (*call_)(void*, Args...);
};

}  // namespace sf::wire
