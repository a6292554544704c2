package tfstate

import (
	"slices"
	"strings"
)

// mapping says what a type of Terraform's is here.
type mapping struct {
	// is the portable type, or two of them where the engine decides.
	is []string
	// id is the attribute that its platform knows it by; "" for `id`.
	id string
}

// platforms are the providers that may manage types with a prefix.
var platforms = map[string][]string{
	"digitalocean_": {"digitalocean"}, "aws_": {"aws"}, "google_": {"gcp", "google"}, "azurerm_": {"azure", "azurerm"},
}

// types maps the types of Terraform's providers. What a type is not in here
// for can be mapped by hand.
var types = map[string]mapping{
	"digitalocean_app":                {is: []string{"infra.container_service"}},
	"digitalocean_certificate":        {is: []string{"infra.certificate"}, id: "uuid"},
	"digitalocean_container_registry": {is: []string{"infra.registry"}},
	"digitalocean_database_cluster":   {is: []string{"infra.database", "infra.cache"}},
	"digitalocean_domain":             {is: []string{"infra.dns"}},
	"digitalocean_droplet":            {is: []string{"infra.droplet"}},
	"digitalocean_firewall":           {is: []string{"infra.firewall"}},
	"digitalocean_kubernetes_cluster": {is: []string{"infra.k8s_cluster"}},
	"digitalocean_loadbalancer":       {is: []string{"infra.load_balancer"}},
	"digitalocean_spaces_bucket":      {is: []string{"infra.storage"}, id: "name"},
	"digitalocean_spaces_key":         {is: []string{"infra.spaces_key"}},
	"digitalocean_volume":             {is: []string{"infra.volume"}},
	"digitalocean_vpc":                {is: []string{"infra.vpc"}},

	"aws_acm_certificate":               {is: []string{"infra.certificate"}, id: "arn"},
	"aws_api_gateway_rest_api":          {is: []string{"infra.api_gateway"}},
	"aws_apigatewayv2_api":              {is: []string{"infra.api_gateway"}},
	"aws_apprunner_service":             {is: []string{"infra.container_service"}, id: "arn"},
	"aws_db_instance":                   {is: []string{"infra.database"}, id: "identifier"},
	"aws_ebs_volume":                    {is: []string{"infra.volume"}},
	"aws_ecr_repository":                {is: []string{"infra.registry"}, id: "name"},
	"aws_ecs_service":                   {is: []string{"infra.container_service"}},
	"aws_eks_cluster":                   {is: []string{"infra.k8s_cluster"}, id: "name"},
	"aws_elasticache_cluster":           {is: []string{"infra.cache"}, id: "cluster_id"},
	"aws_elasticache_replication_group": {is: []string{"infra.cache"}},
	"aws_iam_role":                      {is: []string{"infra.iam_role"}, id: "name"},
	"aws_instance":                      {is: []string{"infra.droplet"}},
	"aws_lb":                            {is: []string{"infra.load_balancer"}, id: "arn"},
	"aws_rds_cluster":                   {is: []string{"infra.database"}, id: "cluster_identifier"},
	"aws_route53_zone":                  {is: []string{"infra.dns"}, id: "zone_id"},
	"aws_s3_bucket":                     {is: []string{"infra.storage"}, id: "bucket"},
	"aws_security_group":                {is: []string{"infra.firewall"}},
	"aws_vpc":                           {is: []string{"infra.vpc"}},

	"google_artifact_registry_repository":    {is: []string{"infra.registry"}},
	"google_cloud_run_service":               {is: []string{"infra.container_service"}},
	"google_cloud_run_v2_service":            {is: []string{"infra.container_service"}},
	"google_compute_disk":                    {is: []string{"infra.volume"}},
	"google_compute_firewall":                {is: []string{"infra.firewall"}},
	"google_compute_forwarding_rule":         {is: []string{"infra.load_balancer"}},
	"google_compute_global_forwarding_rule":  {is: []string{"infra.load_balancer"}},
	"google_compute_instance":                {is: []string{"infra.droplet"}},
	"google_compute_managed_ssl_certificate": {is: []string{"infra.certificate"}},
	"google_compute_network":                 {is: []string{"infra.vpc"}},
	"google_container_cluster":               {is: []string{"infra.k8s_cluster"}},
	"google_dns_managed_zone":                {is: []string{"infra.dns"}},
	"google_redis_instance":                  {is: []string{"infra.cache"}},
	"google_service_account":                 {is: []string{"infra.iam_role"}},
	"google_sql_database_instance":           {is: []string{"infra.database"}},
	"google_storage_bucket":                  {is: []string{"infra.storage"}},

	"azurerm_api_management":             {is: []string{"infra.api_gateway"}},
	"azurerm_container_app":              {is: []string{"infra.container_service"}},
	"azurerm_container_registry":         {is: []string{"infra.registry"}},
	"azurerm_dns_zone":                   {is: []string{"infra.dns"}},
	"azurerm_kubernetes_cluster":         {is: []string{"infra.k8s_cluster"}},
	"azurerm_lb":                         {is: []string{"infra.load_balancer"}},
	"azurerm_linux_virtual_machine":      {is: []string{"infra.droplet"}},
	"azurerm_managed_disk":               {is: []string{"infra.volume"}},
	"azurerm_mssql_server":               {is: []string{"infra.database"}},
	"azurerm_mysql_flexible_server":      {is: []string{"infra.database"}},
	"azurerm_network_security_group":     {is: []string{"infra.firewall"}},
	"azurerm_postgresql_flexible_server": {is: []string{"infra.database"}},
	"azurerm_redis_cache":                {is: []string{"infra.cache"}},
	"azurerm_storage_account":            {is: []string{"infra.storage"}},
	"azurerm_user_assigned_identity":     {is: []string{"infra.iam_role"}},
	"azurerm_virtual_network":            {is: []string{"infra.vpc"}},
}

// idField is the attribute of a type that its platform knows it by.
func idField(typ string) string {
	if field := types[typ].id; field != "" {
		return field
	}
	return "id"
}

// portable lists the types here that a resource may be of; none where nothing
// corresponds.
func (r Resource) portable() []string {
	is := types[r.Type].is
	if len(is) < 2 || r.engine == "" {
		return is
	}
	if r.engine == "redis" || r.engine == "valkey" {
		return is[1:]
	}
	return is[:1]
}

// onPlatform tells whether a provider of a kind may manage the type.
func (r Resource) onPlatform(kind string) bool {
	for prefix, kinds := range platforms {
		if strings.HasPrefix(r.Type, prefix) {
			return slices.Contains(kinds, kind)
		}
	}
	return true
}

// empty tells whether the type has nothing outside Terraform's own state, and
// why.
func (r Resource) empty() (why string, ok bool) {
	switch family, _, _ := strings.Cut(r.Type, "_"); family {
	case "terraform", "null":
		return "it holds values alone: declare them as core.data, and the next apply records them", true
	case "random", "tls", "time":
		return "it exists in Terraform's state alone, and nothing sensitive is read from there", true
	}
	return "", false
}
