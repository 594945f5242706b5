%% SPDX-License-Identifier: Apache-2.0
%%
%% reclaim_sup - the application's supervisor
%%
%%     reclaim_sup            rest_for_one; the tables are its own
%%      |- reclaim_keeper     sees to what hosts leave in them
%%      |- reclaim_hosts      one supervisor for each host, none restarted
%%      |   `- reclaim_host_sup   restarts its host
%%      |       `- reclaim_host
%%      `- reclaim_log        the logger's client
%%
%% A host that ends too often is given up, with its own supervisor: no other is
%% touched by that.

-module(reclaim_sup).
-behaviour(supervisor).

-export([start_link/0, start_hosts/0]).
-export([init/1]).

-spec start_link() -> supervisor:startlink_ret().
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, all).

-spec start_hosts() -> supervisor:startlink_ret().
start_hosts() ->
    supervisor:start_link({local, reclaim_hosts}, ?MODULE, hosts).

-spec init(all | hosts) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init(all) ->
    ok = reclaim_keeper:make_tables(),
    Children = [
        #{id => reclaim_keeper, start => {reclaim_keeper, start_link, []}},
        #{id => reclaim_hosts, start => {?MODULE, start_hosts, []}, type => supervisor},
        #{id => reclaim_log, start => {reclaim_log, start_link, []}}
    ],
    {ok, {#{strategy => rest_for_one, intensity => 5, period => 10}, Children}};
init(hosts) ->
    Child = #{
        id => reclaim_host_sup,
        start => {reclaim_host_sup, start_link, []},
        restart => temporary,
        type => supervisor
    },
    {ok, {#{strategy => simple_one_for_one}, [Child]}}.
