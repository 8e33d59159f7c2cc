// Checks a dashboard against Grafana's own types. Each panel is checked with the
// types of its kind; a kind that is not listed here is an error. dashboard.ts is
// the JSON as a literal: only in a literal are unknown fields errors.
import type { Dashboard, DataSourceRef, FieldConfig, Panel } from '@grafana/schema';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

type Query = {
  refId: string;
  datasource: DataSourceRef;
  expr: string;
  legendFormat: string;
  format?: 'heatmap';
};

type Of<Kind, Options, Custom> = Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Kind;
  options: Options;
  fieldConfig: { defaults: Omit<FieldConfig, 'custom'> & { custom?: Custom }; overrides: never[] };
  targets: Query[];
};

type Panels =
  | Of<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | Of<'heatmap', heatmap.Options, heatmap.FieldConfig>;

// An enum is a word in JSON.
type Json<T> = T extends string
  ? `${T}`
  : T extends (infer E)[]
    ? Json<E>[]
    : T extends object
      ? { [K in keyof T]: Json<T[K]> }
      : T;

export type Checked = Json<Omit<Dashboard, 'panels'> & { panels: Panels[] }>;
