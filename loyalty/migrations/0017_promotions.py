"""Promotions, and what they gave: append-only, but that a merge moves it."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from cloudpos.migration_operations import Together
from django.db import migrations, models

import cloudpos.ids
import cloudpos.tenancy.constraints
import cloudpos.tenancy.fields


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0012_merchant_by_reference'),
        ('loyalty', '0016_tiers_over_time'),
        ('tenancy', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='program',
            name='promotions_revision',
            field=models.IntegerField(default=0, editable=False, help_text='Counts changes of its promotions'),
        ),
        migrations.CreateModel(
            name='Promotion',
            fields=[
                ('id', models.UUIDField(default=cloudpos.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('description', models.CharField(blank=True, max_length=500)),
                ('kind', models.CharField(choices=[('multiplier', 'Multiplied points'), ('bonus', 'A bonus of points')], max_length=10)),
                ('multiplier', models.DecimalField(blank=True, decimal_places=3, help_text='2 doubles the points', max_digits=6, null=True)),
                ('points', models.IntegerField(blank=True, help_text='The bonus', null=True)),
                ('status', models.CharField(choices=[('draft', 'Draft'), ('active', 'Active'), ('paused', 'Paused'), ('ended', 'Ended')], default='draft', max_length=6)),
                ('starts_at', models.DateTimeField(blank=True, help_text='Empty: from its activation on', null=True)),
                ('ends_at', models.DateTimeField(blank=True, help_text='The first instant at which it is over; empty: open-ended', null=True)),
                ('weekdays', django.contrib.postgres.fields.ArrayField(base_field=models.SmallIntegerField(), blank=True, default=list, help_text='1 (Monday) to 7 (Sunday); none chosen: every day', size=None)),
                ('opens', models.TimeField(blank=True, help_text='By the clock of the store', null=True)),
                ('closes', models.TimeField(blank=True, help_text='May be after midnight: 22:00 to 02:00', null=True)),
                ('stores', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), blank=True, default=list, help_text='None chosen: all stores', size=None)),
                ('tiers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), blank=True, default=list, help_text='None chosen: all members', size=None)),
                ('segments', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=10), blank=True, default=list, help_text='None chosen: all customers', size=None)),
                ('categories', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, size=None)),
                ('skus', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, default=list, size=None)),
                ('min_quantity', models.DecimalField(blank=True, decimal_places=3, help_text='At least so many of these items, for a bonus', max_digits=9, null=True)),
                ('min_spend', models.DecimalField(blank=True, decimal_places=2, help_text='Of what earns points, and of the items named when there are any', max_digits=12, null=True)),
                ('first_purchase', models.BooleanField(default=False)),
                ('birthday_days', models.SmallIntegerField(blank=True, help_text='0: on the birthday; 3: also three days before and after', null=True)),
                ('every_visit', models.IntegerField(blank=True, help_text='5: each fifth purchase', null=True)),
                ('member_times', models.IntegerField(blank=True, help_text='The most times for one customer', null=True)),
                ('member_points', models.IntegerField(blank=True, help_text='The most points for one customer', null=True)),
                ('member_period', models.CharField(choices=[('total', 'In total'), ('day', 'Each day')], default='total', help_text='For one customer', max_length=5)),
                ('total_times', models.IntegerField(blank=True, help_text='The most times for all together', null=True)),
                ('total_points', models.IntegerField(blank=True, help_text='The most points for all together', null=True)),
                ('used_times', models.IntegerField(default=0, editable=False)),
                ('used_points', models.BigIntegerField(default=0, editable=False)),
                ('priority', models.SmallIntegerField(default=0, help_text='The higher comes first')),
                ('exclusive', models.BooleanField(default=False, help_text='No other promotion beside it')),
                ('version', models.IntegerField(default=1, editable=False)),
                ('actor_id', models.UUIDField(blank=True, editable=False, help_text='Who changed it last', null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('merchant', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.merchant')),
                ('program', cloudpos.tenancy.fields.TenantForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='promotions', to='loyalty.program')),
            ],
            options={
                'db_table': 'loyalty_promotions',
            },
        ),
        migrations.CreateModel(
            name='PromotionAward',
            fields=[
                ('id', models.UUIDField(default=cloudpos.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('points', models.BigIntegerField()),
                ('occurred_at', models.DateTimeField()),
                ('recorded_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('customer', cloudpos.tenancy.fields.TenantForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='awards', to='customers.customer')),
                ('entry', cloudpos.tenancy.fields.TenantForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='awards', to='loyalty.ledgerentry')),
                ('merchant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tenancy.merchant')),
                ('promotion', cloudpos.tenancy.fields.TenantForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='awards', to='loyalty.promotion')),
                ('purchase', cloudpos.tenancy.fields.TenantForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='awards', to='customers.purchase')),
            ],
            options={
                'db_table': 'loyalty_awards',
            },
        ),
        Together(
            migrations.AddIndex(
                model_name='promotion',
                index=models.Index(fields=['merchant', 'created_at'], name='loyalty_promotions_time_idx'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.UniqueConstraint(fields=('merchant', 'id'), name='loyalty_promotions_merchant_id_uniq'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=cloudpos.tenancy.constraints.TenantReference(field='program', name='loyalty_promotions_program_tenant_fk'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'multiplier'), ('multiplier__gt', 1), ('multiplier__lte', 100), ('points__isnull', True)), models.Q(('kind', 'bonus'), ('multiplier__isnull', True), ('points__gte', 1), ('points__lte', 1000000)), _connector='OR'), name='loyalty_promotions_value_of_kind'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('status__in', ['draft', 'active', 'paused', 'ended'])), name='loyalty_promotions_status_known'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('status', 'draft'), ('starts_at__isnull', False), _connector='OR'), name='loyalty_promotions_active_has_start'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('starts_at__isnull', True), ('ends_at__isnull', True), ('starts_at__lt', models.F('ends_at')), models.Q(('starts_at', models.F('ends_at')), ('status', 'ended')), _connector='OR'), name='loyalty_promotions_window'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(models.Q(('closes__isnull', True), ('opens__isnull', True)), models.Q(('closes__isnull', False), ('opens__isnull', False), models.Q(('opens', models.F('closes')), _negated=True)), _connector='OR'), name='loyalty_promotions_hours'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('weekdays__contained_by', [1, 2, 3, 4, 5, 6, 7]), ('weekdays__len__lte', 7)), name='loyalty_promotions_weekdays'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('categories__len__lte', 200), ('segments__len__lte', 200), ('skus__len__lte', 200), ('stores__len__lte', 200), ('tiers__len__lte', 200)), name='loyalty_promotions_lists_bounded'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('min_quantity__isnull', True), models.Q(('kind', 'bonus'), ('min_quantity__gt', 0)), _connector='OR'), name='loyalty_promotions_min_quantity'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('min_spend__isnull', True), ('min_spend__gt', 0), _connector='OR'), name='loyalty_promotions_min_spend'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('birthday_days__isnull', True), models.Q(('birthday_days__gte', 0), ('birthday_days__lte', 90)), _connector='OR'), name='loyalty_promotions_birthday_days'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('every_visit__isnull', True), models.Q(('every_visit__gte', 2), ('every_visit__lte', 1000), ('first_purchase', False)), _connector='OR'), name='loyalty_promotions_every_visit'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(models.Q(('member_times__isnull', True), models.Q(('member_times__gte', 1), ('member_times__lte', 1000000000)), _connector='OR'), models.Q(('member_points__isnull', True), models.Q(('member_points__gte', 1), ('member_points__lte', 1000000000)), _connector='OR'), models.Q(('total_times__isnull', True), models.Q(('total_times__gte', 1), ('total_times__lte', 1000000000)), _connector='OR'), models.Q(('total_points__isnull', True), models.Q(('total_points__gte', 1), ('total_points__lte', 1000000000)), _connector='OR')), name='loyalty_promotions_caps_bounds'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('used_points__gte', 0), ('used_times__gte', 0), models.Q(('total_times__isnull', True), ('used_times__lte', models.F('total_times')), _connector='OR'), models.Q(('total_points__isnull', True), ('used_points__lte', models.F('total_points')), _connector='OR')), name='loyalty_promotions_total_caps_hold'),
            ),
            migrations.AddConstraint(
                model_name='promotion',
                constraint=models.CheckConstraint(condition=models.Q(('priority__gte', -1000), ('priority__lte', 1000)), name='loyalty_promotions_priority_bounds'),
            ),
            migrations.AddIndex(
                model_name='promotionaward',
                index=models.Index(fields=['merchant', 'customer', 'promotion', 'occurred_at'], include=('points',), name='loyalty_awards_customer_idx'),
            ),
            migrations.AddIndex(
                model_name='promotionaward',
                index=models.Index(fields=['merchant', 'promotion'], name='loyalty_awards_promotion_idx'),
            ),
            migrations.AddConstraint(
                model_name='promotionaward',
                constraint=cloudpos.tenancy.constraints.TenantReference(field='promotion', name='loyalty_awards_promotion_tenant_fk'),
            ),
            migrations.AddConstraint(
                model_name='promotionaward',
                constraint=cloudpos.tenancy.constraints.TenantReference(field='customer', name='loyalty_awards_customer_tenant_fk'),
            ),
            migrations.AddConstraint(
                model_name='promotionaward',
                constraint=cloudpos.tenancy.constraints.TenantReference(field='purchase', name='loyalty_awards_purchase_tenant_fk'),
            ),
            migrations.AddConstraint(
                model_name='promotionaward',
                constraint=cloudpos.tenancy.constraints.TenantReference(field='entry', name='loyalty_awards_entry_tenant_fk'),
            ),
            migrations.AddConstraint(
                model_name='promotionaward',
                constraint=models.UniqueConstraint(fields=('merchant', 'purchase', 'promotion'), name='loyalty_awards_uniq'),
            ),
            migrations.AddConstraint(
                model_name='promotionaward',
                constraint=models.UniqueConstraint(fields=('merchant', 'entry'), name='loyalty_awards_entry_uniq'),
            ),
            migrations.AddConstraint(
                model_name='promotionaward',
                constraint=models.CheckConstraint(condition=models.Q(('points__gte', 1)), name='loyalty_awards_points_positive'),
            ),
        ),
        migrations.RunSQL(
            "CREATE TRIGGER loyalty_awards_immutable BEFORE UPDATE OR DELETE ON loyalty_awards"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change_except_customer();",
            "DROP TRIGGER loyalty_awards_immutable ON loyalty_awards;",
        ),
    ]
