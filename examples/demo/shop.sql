-- The shop's own tables, which have nothing to do with tasker: orders, sales and the daily reports about them.

create schema shop;

create table shop.orders (
  order_id   text primary key,
  placed_at  timestamptz not null default now(),
  total_cents bigint not null
);

create table shop.sales (
  sale_id          bigint generated always as identity primary key,
  sold_on          date not null,
  region           text not null,
  product          text not null,
  units            integer not null,
  unit_price_cents integer not null,
  status           text not null
);
create index on shop.sales (sold_on);

-- What `extract` copies for its task, and `load` clears away.
create table shop.extracted (
  task_id       bigint not null,
  sale_id       bigint not null,
  region        text not null,
  product       text not null,
  units         integer not null,
  revenue_cents bigint not null,
  primary key (task_id, sale_id)
);

create table shop.reports (
  task_id       bigint primary key,
  day           date not null,
  revenue_cents bigint not null,
  units         integer not null,
  best_product  text not null,
  regions       jsonb not null
);

-- Sixty days from 2026-01-01, some 500 sales each. Arithmetic instead of random(): every run has the same figures.
insert into shop.sales (sold_on, region, product, units, unit_price_cents, status)
select date '2026-01-01' + day,
       (array['north', 'south', 'east', 'west'])[1 + (sale * 7 + day) % 4],
       (array['lamp', 'chair', 'desk', 'shelf', 'rug'])[1 + (sale * 11 + day * 3) % 5],
       1 + (sale * 13 + day) % 4,
       990 + (sale * 37 + day * 101) % 9000,
       case when (sale + day) % 19 = 0 then 'refunded' else 'paid' end
from generate_series(0, 59) as day, generate_series(1, 480 + day % 40) as sale;

analyze shop.sales;
