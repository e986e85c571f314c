/** @file ocrun.hpp
 * The task API of ocrun for C++20: ocrun.h with handles that clean up after themselves, any callable, results and exceptions by
 * type, std::chrono, scopes and std::stop_token. Header only; link with -locrun.
 *
 * A task that is cancelled is unwound as by pthread_cancel(3): destructors run, and `catch (...)` blocks must throw on.
 */
#ifndef OCRUN_HPP
#define OCRUN_HPP
#include <cxxabi.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <ocrun/ocrun.h>

namespace ocrun {

/** A call of the library failed; code() holds the errno value. */
class error : public std::system_error {
public:
    error(int negative_errno, const char* what) : std::system_error(-negative_errno, std::generic_category(), what) {}
};
/** The task that was joined had been cancelled, or ended its thread by pthread_exit(3). */
class cancelled : public std::runtime_error {
public:
    cancelled() : std::runtime_error("the task was cancelled") {}
};
/** The task that was joined raised SIGSEGV, SIGBUS, SIGFPE or SIGILL; what() tells where. */
class fault : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/** A span as the C interface wants it: never negative; the longest one is for ever. */
template <class Rep, class Period>
uint64_t nanoseconds_of(std::chrono::duration<Rep, Period> span) {
    if (span <= span.zero()) return 0;
    if (std::chrono::duration<double, std::nano>(span).count() >= 9.2e18) return OC_FOREVER;
    return uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(span).count());
}

/** oc_init(). Returns false when the framework was started already. Throws error. */
inline bool init(oc_config config = OC_CONFIG_INIT) {
    int r = oc_init(&config);
    if (r && r != -EALREADY) throw error(r, "oc_init");
    return !r;
}
/** oc_stop(): true when everything has ended, false when the time was up. Throws error. */
inline bool stop() {
    if (int r = oc_stop(OC_FOREVER)) throw error(r, "oc_stop");
    return true;
}
template <class Rep, class Period>
bool stop(std::chrono::duration<Rep, Period> timeout) {
    int r = oc_stop(nanoseconds_of(timeout));
    if (r && r != -ETIMEDOUT) throw error(r, "oc_stop");
    return !r;
}

/** How a task is started. */
struct options {
    long priority = 0; /**< smaller starts sooner */
};

namespace detail {

// What creator and task share: the callable until the task's end, then its result.
template <class Result>
struct shared {
    std::atomic<int> references{2};
    std::stop_source stop;
    std::optional<Result> result;
    virtual ~shared() = default;
    virtual void run() = 0;
    virtual void forget() = 0;  // the callable
    void release() {
        if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }
};
struct nothing {};
template <class R>
using stored = std::conditional_t<std::is_void_v<R>, nothing,
                                  std::conditional_t<std::is_reference_v<R>, std::reference_wrapper<std::remove_reference_t<R>>, R>>;

template <class Function, class... Arguments>
constexpr bool takes_token = std::is_invocable_v<std::decay_t<Function>, std::stop_token, std::decay_t<Arguments>...>;
template <class Function, class... Arguments>
auto result_of() {
    if constexpr (takes_token<Function, Arguments...>)
        return std::type_identity<std::invoke_result_t<std::decay_t<Function>, std::stop_token, std::decay_t<Arguments>...>>{};
    else
        return std::type_identity<std::invoke_result_t<std::decay_t<Function>, std::decay_t<Arguments>...>>{};
}
template <class Function, class... Arguments>
using result_t = typename decltype(result_of<Function, Arguments...>())::type;

template <class Function, class... Arguments>
struct job : shared<stored<result_t<Function, Arguments...>>> {
    using Raw = result_t<Function, Arguments...>;
    std::optional<std::tuple<std::decay_t<Function>, std::decay_t<Arguments>...>> call;
    template <class F, class... A>
    explicit job(std::in_place_t, F&& f, A&&... a) : call(std::in_place, std::forward<F>(f), std::forward<A>(a)...) {}
    void run() override {
        auto invoke = [this](auto&& f, auto&&... a) -> decltype(auto) {
            if constexpr (takes_token<Function, Arguments...>)
                return std::invoke(std::move(f), this->stop.get_token(), std::move(a)...);
            else
                return std::invoke(std::move(f), std::move(a)...);
        };
        if constexpr (std::is_void_v<Raw>) {
            std::apply(invoke, std::move(*call));
            this->result.emplace();
        } else {
            this->result.emplace(std::apply(invoke, std::move(*call)));
        }
    }
    void forget() override { call.reset(); }
};

template <class Stored>
void* run_job(void* p) {
    static_cast<shared<Stored>*>(p)->run();
    return nullptr;
}
template <class Stored>
void end_job(void* p) {
    auto* s = static_cast<shared<Stored>*>(p);
    s->forget();
    s->release();
}

[[noreturn]] inline void throw_end(oc_task* task, int error_number) {
    if (error_number == -ECANCELED) throw cancelled();
    if (error_number == -EPROTO) {
        std::exception_ptr e;
        if (oc_task_exception(task, &e) == 0) std::rethrow_exception(e);
    }
    if (error_number == -EFAULT) throw fault(oc_task_error_text(task));
    throw error(error_number, "oc_task_join");
}

}  // namespace detail

/** A handle to a task with a result of type R. Moves, does not copy; dropping it detaches the task, which goes on. */
template <class R = void>
class [[nodiscard]] task {
    using Stored = detail::stored<R>;

public:
    task() = default;
    task(task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)), shared_(std::exchange(other.shared_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        task moved(std::move(other));
        std::swap(handle_, moved.handle_);
        std::swap(shared_, moved.shared_);
        return *this;
    }
    ~task() { detach(); }

    bool valid() const { return handle_ != nullptr; }
    uint64_t id() const { return oc_task_id(handle_); }
    oc_state state() const { return oc_task_state(handle_); }
    oc_task* native_handle() const { return handle_; }

    /** Waits; true when the task has ended in time, however it ended. */
    bool wait() const {
        oc_task_join(handle_, nullptr);
        return oc_task_state(handle_) >= OC_COMPLETE;
    }
    template <class Rep, class Period>
    bool wait_for(std::chrono::duration<Rep, Period> timeout) const {
        oc_task_timeout_join(handle_, nanoseconds_of(timeout), nullptr);
        return oc_task_state(handle_) >= OC_COMPLETE;
    }
    template <class Clock, class Span>
    bool wait_until(std::chrono::time_point<Clock, Span> when) const {
        return wait_for(when - Clock::now());
    }
    /** Waits and hands out the result; the handle is empty then. Throws what the task threw; cancelled; fault. */
    R join() {
        int r = oc_task_join(handle_, nullptr);
        if (r == 0 || oc_task_state(handle_) >= OC_COMPLETE) return take(r);
        throw error(r, "oc_task_join");
    }
    /** As join(); nothing when the time was up: the handle stays. */
    template <class Rep, class Period>
    auto join_for(std::chrono::duration<Rep, Period> timeout) {
        int r = oc_task_timeout_join(handle_, nanoseconds_of(timeout), nullptr);
        bool over = oc_task_state(handle_) >= OC_COMPLETE && r != -ETIMEDOUT;
        if constexpr (std::is_void_v<R>) {
            if (over) take(r);
            return over;
        } else {
            return over ? std::optional<Stored>(take(r)) : std::nullopt;
        }
    }
    /** oc_task_cancel(). */
    void cancel() { oc_task_cancel(handle_); }
    /** Tells the std::stop_token that the task's function may take as its first argument. */
    bool request_stop() { return shared_->stop.request_stop(); }
    void detach() {
        if (handle_) oc_task_drop(std::exchange(handle_, nullptr));
        if (shared_) std::exchange(shared_, nullptr)->release();
    }

private:
    template <class F, class... A>
    friend auto spawn(options, F&&, A&&...) -> task<detail::result_t<F, A...>>;
    task(oc_task* handle, detail::shared<Stored>* shared) : handle_(handle), shared_(shared) {}

    R take(int error_number) {
        task ending(std::move(*this));
        if (error_number) detail::throw_end(ending.handle_, error_number);
        if constexpr (std::is_reference_v<R>)
            return ending.shared_->result->get();
        else if constexpr (!std::is_void_v<R>)
            return std::move(*ending.shared_->result);
    }

    oc_task* handle_ = nullptr;
    detail::shared<Stored>* shared_ = nullptr;
};

/** Starts a task that calls function(arguments...), with a std::stop_token in front if it takes one. Function and arguments are
 * copied or moved as by std::thread. Throws error, std::bad_alloc. */
template <class F, class... A>
auto spawn(options how, F&& function, A&&... arguments) -> task<detail::result_t<F, A...>> {
    using Job = detail::job<F, A...>;
    using Stored = detail::stored<detail::result_t<F, A...>>;
    std::unique_ptr<Job> job = std::make_unique<Job>(std::in_place, std::forward<F>(function), std::forward<A>(arguments)...);
    oc_task_attributes attributes{};
    attributes.size = sizeof attributes;
    attributes.priority = how.priority;
    attributes.ended = detail::end_job<Stored>;
    detail::shared<Stored>* shared = job.get();
    oc_task* handle = oc_task_create_with(detail::run_job<Stored>, shared, &attributes);
    if (!handle) throw error(-errno, "oc_task_create");
    job.release();
    return task<detail::result_t<F, A...>>(handle, shared);
}
template <class F, class... A>
    requires(!std::same_as<std::decay_t<F>, options>)
auto spawn(F&& function, A&&... arguments) {
    return spawn(options{}, std::forward<F>(function), std::forward<A>(arguments)...);
}

/** Waits until one of the tasks has ended: its index, or nothing when the time was up. */
template <class R>
std::optional<std::size_t> any_join(std::span<task<R>> tasks, uint64_t timeout_ns = OC_FOREVER) {
    std::vector<oc_task*> handles;
    for (auto& t : tasks) handles.push_back(t.native_handle());
    long r = oc_task_any_join(handles.data(), handles.size(), timeout_ns);
    if (r >= 0) return std::size_t(r);
    if (r == -ETIMEDOUT) return std::nullopt;
    throw error(int(r), "oc_task_any_join");
}
template <class R, class Rep, class Period>
std::optional<std::size_t> any_join(std::span<task<R>> tasks, std::chrono::duration<Rep, Period> timeout) {
    return any_join(tasks, nanoseconds_of(timeout));
}

/** A group of tasks that ends with its block: the destructor waits for all of them. May be used by several threads. */
class scope {
public:
    scope() = default;
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;
    ~scope() { waiting{take()}; }
    template <class F, class... A>
    void spawn(F&& function, A&&... arguments) {
        // Not under the lock: it may wait until tasks end, and those may spawn here, too.
        waiting one;
        one.tasks.push_back(ocrun::spawn([f = std::decay_t<F>(std::forward<F>(function)), source = stop_,
                                       a = std::tuple<std::decay_t<A>...>(std::forward<A>(arguments)...)]() mutable {
            if constexpr (std::is_invocable_v<std::decay_t<F>, std::stop_token, std::decay_t<A>...>)
                std::apply([&](auto&&... x) { std::invoke(std::move(f), source.get_token(), std::move(x)...); }, std::move(a));
            else
                std::apply([&](auto&&... x) { std::invoke(std::move(f), std::move(x)...); }, std::move(a));
        }));
        std::lock_guard held(lock_);
        tasks_.push_back(std::move(one.tasks.front()));
        one.tasks.clear();
    }
    /** Waits for all, then throws the first exception (in the order of spawn) that one of them ended with. When the caller is
     * cancelled meanwhile, it still waits for all. */
    void join() {
        std::exception_ptr first;
        waiting all{take()};
        for (task<void>& t : all.tasks) {
            try {
                t.join();
            } catch (abi::__forced_unwind&) {
                throw;
            } catch (...) {
                if (!first) first = std::current_exception();
            }
        }
        if (first) std::rethrow_exception(first);
    }
    /** Cancels all that have not ended. */
    void cancel() {
        std::lock_guard held(lock_);
        for (task<void>& t : tasks_) t.cancel();
    }
    /** Tells the std::stop_token that tasks of the scope may take. */
    bool request_stop() { return stop_.request_stop(); }

private:
    // Tasks that are waited for, come what may: a cancellation of the caller has to wait, too.
    struct waiting {
        std::vector<task<void>> tasks;
        ~waiting() {
            int was = oc_cancel_enable(0);
            for (task<void>& t : tasks)
                if (t.valid()) t.wait();
            oc_cancel_enable(was);
        }
    };
    std::vector<task<void>> take() {
        std::lock_guard held(lock_);
        return std::exchange(tasks_, {});
    }
    std::mutex lock_;
    std::stop_source stop_;
    std::vector<task<void>> tasks_;
};

/** Of the calling task. */
namespace this_task {

inline uint64_t id() { return oc_current_id(); }
inline void yield() { oc_yield(); }
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> span) {
    oc_sleep(nanoseconds_of(span));
}
template <class Clock, class Span>
void sleep_until(std::chrono::time_point<Clock, Span> when) {
    for (auto now = Clock::now(); now < when; now = Clock::now()) sleep_for(when - now);
}
inline bool cancel_requested() { return oc_cancel_requested(); }
inline void cancel_point() { oc_cancel_point(); }

/** No cancellation while it lives. */
class cancel_guard {
public:
    cancel_guard() : was_(oc_cancel_enable(0)) {}
    ~cancel_guard() { oc_cancel_enable(was_); }
    cancel_guard(const cancel_guard&) = delete;
    cancel_guard& operator=(const cancel_guard&) = delete;

private:
    int was_;
};

}  // namespace this_task

/** Calls function with at least red_zone bytes of stack (oc_maybe_grow_stack). Throws what it throws, and std::bad_alloc. */
template <class F>
auto maybe_grow_stack(F&& function, std::size_t red_zone = 0, std::size_t size = 0) -> std::invoke_result_t<F> {
    using R = std::invoke_result_t<F>;
    struct Call {
        F& function;
        std::optional<detail::stored<R>> result;
    } call{function, {}};
    auto run = [](void* p) -> void* {
        Call& c = *static_cast<Call*>(p);
        if constexpr (std::is_void_v<R>) {
            std::invoke(std::forward<F>(c.function));
            c.result.emplace();
        } else {
            c.result.emplace(std::invoke(std::forward<F>(c.function)));
        }
        return nullptr;
    };
    if (oc_maybe_grow_stack(red_zone, size, run, &call, nullptr)) throw std::bad_alloc();
    if constexpr (std::is_reference_v<R>)
        return call.result->get();
    else if constexpr (!std::is_void_v<R>)
        return std::move(*call.result);
}

/** A value for each task (and each ordinary thread), default-constructed at its first use, destroyed with the task. */
template <class T>
class local {
public:
    local() {
        if (int r = oc_local_create(&key_, [](void* p) { delete static_cast<T*>(p); })) throw error(r, "oc_local_create");
    }
    ~local() { oc_local_delete(key_); }
    local(const local&) = delete;
    local& operator=(const local&) = delete;
    T& get() {
        if (void* p = oc_local_get(key_)) return *static_cast<T*>(p);
        auto fresh = std::make_unique<T>();
        if (int r = oc_local_set(key_, fresh.get())) throw error(r, "oc_local_set");
        return *fresh.release();
    }
    T& operator*() { return get(); }
    T* operator->() { return &get(); }

private:
    oc_local key_;
};

}  // namespace ocrun
#endif
