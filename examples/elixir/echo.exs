# SPDX-License-Identifier: Apache-2.0
#
# echo - a host, an outlet and its messages, from Elixir
#
#     ERL_LIBS=/usr/local/lib/erlang/lib elixir echo.exs
#
# The application is Erlang's, :reclaim.  Its messages are taken with receive; a
# GenServer gets them in handle_info/2.

{:ok, _} = Application.ensure_all_started(:reclaim)

options = if path = System.get_env("RECLAIM_HOST"), do: %{program: path}, else: %{}
{:ok, host} = :reclaim.start_host(options)

{:ok, out} = :reclaim.open(host, :echo, [])
:ok = :reclaim.command(out, "hello")

receive do
  {:reclaim, ^out, {:data, data}} -> IO.puts("data: #{data}")
end

{:ok, answer} = :reclaim.call(out, %{question: [1, 2, 3]}, 5_000)
IO.puts("call: #{inspect(answer)}")

# What another process opens goes with that process.
task =
  Task.async(fn ->
    {:ok, its} = :reclaim.open(host, :echo, [])
    :ok = :reclaim.register(its, :its)
    its
  end)

its = Task.await(task)

# Its end is noticed soon, if not at once.
gone =
  Enum.find_value(1..1_000, fn _ ->
    Process.sleep(10)
    :reclaim.whereis(host, :its) == :undefined
  end)

IO.puts("gone with its owner: #{gone}, #{inspect(:reclaim.call(its, :x))}")

:ok = :reclaim.close(out)
:ok = :reclaim.stop_host(host)
IO.puts("stopped: #{inspect(:reclaim.open(host, :echo, []))}")
